"""JupyterHub's own authenticator with a say in starts and stops: the name `pam` means it here, for its sessions."""

from jupyterhub.auth import PAMAuthenticator

__all__ = ["PAMAuthenticator"]
