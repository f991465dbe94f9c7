"""Moving in: everything that a JupyterHub's database holds, brought into the log; and back out again (ADR 30)."""
