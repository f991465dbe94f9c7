"""JupyterHub's proxies and everything derived from them, run as they are.

Only what stands in this folder imports `jupyterhub`, and it is imported only where such a class is configured.
"""

from hubbub_proxy_sync.classic.hosted import ClassicProxy, host

__all__ = ["ClassicProxy", "host"]
