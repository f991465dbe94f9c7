"""The shipped configuration, with the JupyterLab of the tests in users' servers."""

c = get_config()  # noqa: F821

c.DockerSpawner.cmd = ["/opt/hubbub/bin/jupyterhub-singleuser"]
c.JupyterHub.services = [{"name": "test", "api_token": "token-of-the-test-service"}]
c.JupyterHub.load_roles = [{"name": "test", "services": ["test"], "scopes": ["admin:users", "admin:servers"]}]
c.JupyterHub.redirect_to_server = False
