"""JupyterHub's own spawner classes and everything derived from them, run as they are.

Only what stands in this folder imports `jupyterhub`, and it is imported only where such a class is configured.
"""
