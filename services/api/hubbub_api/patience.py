"""How long the house waits for a server to stop."""

#: SIGINT, SIGTERM and SIGKILL with JupyterHub's patience for each, and some.
STOP_SECONDS = 80
