"""A hub on one machine: everybody's server runs as the UNIX user of their name, and the hub keeps the passwords."""

c = get_config()  # type: ignore[name-defined]  # noqa: F821

c.JupyterHub.bind_url = "http://:8000"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:8081"  # as in hubbub-api.socket
c.JupyterHub.authenticator_class = "hubbub-passwords"
c.Authenticator.admin_users = {"ada"}
c.Authenticator.allow_all = True  # whoever has an account here
c.JupyterHub.spawner_class = "localprocess"
c.Spawner.notebook_dir = "~"
c.JupyterHub.cleanup_servers = False  # they outlive a restart of the hub
