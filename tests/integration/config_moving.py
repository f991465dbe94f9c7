"""One configuration for a JupyterHub and for the Hubbub that takes its place: only what starts the proxy differs."""

import os
import sys
from pathlib import Path

c = get_config()  # noqa: F821
data = os.environ["MOVING_DATA"]
if proxy := os.environ.get("MOVING_PROXY"):  # JupyterHub has none of its own
    c.ConfigurableHTTPProxy.command = proxy.split(os.pathsep)
c.JupyterHub.bind_url = f"http://127.0.0.1:{os.environ['MOVING_PORT']}/lab/"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{os.environ['MOVING_HUB_PORT']}"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{os.environ['MOVING_PROXY_PORT']}"
c.JupyterHub.db_url = os.environ.get("MOVING_DB", f"sqlite:///{data}/jupyterhub.sqlite")
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False
c.JupyterHub.spawner_class = "simple"
if os.environ.get("MOVING_CLASSIC"):  # JupyterHub's own class, not ours of that name
    from jupyterhub.spawner import SimpleLocalProcessSpawner

    c.JupyterHub.spawner_class = SimpleLocalProcessSpawner
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "password-of-everyone"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"root"}
c.Authenticator.enable_auth_state = True
c.Spawner.cmd = [sys.executable, "-I", str(Path(__file__).parent / "echo_standin.py")]
c.SimpleLocalProcessSpawner.home_dir_template = data + "/hub/../home/{username}"
c.JupyterHub.allow_named_servers = True
c.JupyterHub.concurrent_spawn_limit = 0
c.JupyterHub.api_page_max_limit = 1000
c.JupyterHub.load_groups = {"crew": {"users": ["user-001"], "properties": {"floor": 3}}}
c.JupyterHub.services = [
    {"name": "test", "api_token": "token-of-the-test-service"},
    {"name": "web", "api_token": "token-of-the-web-service", "info": {"colour": "red"}},
]
c.JupyterHub.load_roles = [
    {
        "name": "test",
        "services": ["test"],
        "scopes": [
            "admin:users",
            "admin:auth_state",
            "admin:servers",
            "admin:server_state",
            "admin:groups",
            "admin:services",
            "tokens",
            "shares",
            "read:hub",
            "read:roles",
            "proxy",
            "shutdown",
            "access:servers",
            "access:services",
        ],
    },
    {"name": "teacher", "groups": ["teachers"], "scopes": ["list:users", "read:users:name"]},
    {"name": "lab", "users": ["user-001", "user-002"], "scopes": ["read:hub", "shares!user"]},
    {"name": "sharing", "groups": ["crew"], "scopes": ["shares!user", "read:users:name", "read:groups:name"]},
]
