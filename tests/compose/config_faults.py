"""On top of the shipped configuration: a service for the tests, and no limit to starts."""

c = get_config()  # noqa: F821

c.Hubbub.spawn_retries = 5
c.JupyterHub.concurrent_spawn_limit = 0
c.JupyterHub.services = [{"name": "test", "api_token": "token-of-the-test-service"}]
c.JupyterHub.load_roles = [
    {
        "name": "test",
        "services": ["test"],
        "scopes": ["admin:users", "admin:servers", "tokens", "list:users", "read:hub", "proxy", "access:servers"],
    }
]
