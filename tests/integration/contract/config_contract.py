"""The operator's configuration of the hub under contract: one file, for Hubbub and for JupyterHub."""

import os
import sys
from pathlib import Path

try:
    from hubbub_spawner_worker.spawners import SimpleLocalProcessSpawner
except ImportError:  # then it is JupyterHub's own environment
    from jupyterhub.spawner import SimpleLocalProcessSpawner

c = get_config()  # noqa: F821
data = os.environ["CONTRACT_DATA"]
page = os.environ["CONTRACT_PAGE"]
here = Path(__file__).parent
#: Beside this file where there is one folder for all of it (tests/compose).
standin = next(folder / "standin.py" for folder in (here.parent, here) if (folder / "standin.py").exists())


class StandinSpawner(SimpleLocalProcessSpawner):
    """User options `delay` and `fail` reach the stand-in."""

    def get_env(self):
        env = super().get_env()
        for name in ("delay", "fail"):
            if name in self.user_options:
                env[f"STANDIN_{name.upper()}"] = str(self.user_options[name])
        return env


if os.environ.get("CONTRACT_HUB_PORT"):  # JupyterHub cannot choose ports itself
    c.JupyterHub.bind_url = f"http://127.0.0.1:{os.environ['CONTRACT_PORT']}"
    c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{os.environ['CONTRACT_HUB_PORT']}"
    c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{os.environ['CONTRACT_PROXY_PORT']}"
    c.ConfigurableHTTPProxy.command = os.environ["CONTRACT_PROXY"].split(os.pathsep)
    c.JupyterHub.db_url = f"sqlite:///{data}/hub.sqlite"

c.JupyterHub.spawner_class = StandinSpawner
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "password-of-everyone"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"root"}
c.Authenticator.enable_auth_state = True
c.Spawner.cmd = [sys.executable, "-I", "-S", str(standin)]
c.Spawner.http_timeout = 10  # JupyterHub waits so long even for a process that has ended
c.SimpleLocalProcessSpawner.home_dir_template = data + "/home/{username}"
c.JupyterHub.allow_named_servers = True
c.JupyterHub.named_server_limit_per_user = 3
c.JupyterHub.concurrent_spawn_limit = 0
c.JupyterHub.cleanup_servers = True
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 3}
c.JupyterHub.api_page_default_limit = 3
c.JupyterHub.api_page_max_limit = 12
c.JupyterHub.token_expires_in_max_seconds = 86400
c.JupyterHub.custom_scopes = {
    "custom:lab:write": {"description": "write in the lab", "subscopes": ["custom:lab:read"]},
    "custom:lab:read": {"description": "read in the lab"},
}
c.JupyterHub.load_groups = {
    "crew": {"users": ["gustav"], "properties": {"floor": 3}},
    "teachers": {"users": ["tina"]},
    "pupils": {"users": ["paul"]},
}
c.JupyterHub.services = [
    {"name": "contract", "api_token": "token-of-the-contract-service"},
    {"name": "plain", "api_token": "token-of-the-plain-service"},
    {
        "name": "web",
        "api_token": "token-of-the-web-service",
        "url": page,
        "info": {"colour": "red"},
        "oauth_client_allowed_scopes": ["read:users!user", "custom:lab:read"],
        "oauth_no_confirm": True,
    },
    {"name": "reader", "api_token": "token-of-the-reader-service"},
]
c.JupyterHub.load_roles = [
    {
        "name": "everything",
        "services": ["contract"],
        "scopes": [
            "admin:users",
            "admin:servers",
            "admin:groups",
            "admin:services",
            "tokens",
            "shares",
            "access:servers",
            "access:services",
            "read:roles",
            "read:hub",
            "read:metrics",
            "proxy",
            "shutdown",
            "custom:lab:write",
        ],
    },
    {"name": "visitor", "description": "may see the web service", "scopes": ["access:services!service=web"]},
    {"name": "teacher", "groups": ["teachers"], "scopes": ["read:users!group=pupils", "list:users!group=pupils"]},
    {"name": "lab", "users": ["gustav"], "groups": ["crew"], "scopes": ["custom:lab:write"]},
    {"name": "reader", "services": ["reader"], "scopes": ["list:users", "read:users:name", "self"]},
]
