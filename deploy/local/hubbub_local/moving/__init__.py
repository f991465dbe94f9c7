"""`hubbub import` and `hubbub export`: from a JupyterHub of this machine, and back to it."""
