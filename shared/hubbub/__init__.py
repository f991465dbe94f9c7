"""Hubbub: a hub of Jupyter servers that may die anywhere and forgets nothing."""

__version__ = "0.2.0"

#: The release of JupyterHub whose wire and plug-in contract this release speaks.
JUPYTERHUB_VERSION = "6.1.1"
