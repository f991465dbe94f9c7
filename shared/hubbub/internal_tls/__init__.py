"""How the parts of the house know each other, with `c.JupyterHub.internal_ssl`: none of them talks to a stranger."""
