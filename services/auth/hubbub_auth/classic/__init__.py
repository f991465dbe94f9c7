"""JupyterHub's own authenticators and everything derived from them, run as they are, with their pages.

Only what stands in this folder imports `jupyterhub`, and it is imported only where such a class is configured.
"""
