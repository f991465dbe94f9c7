"""The operator's configuration in most of the integration tests: stand-ins for servers, a service for the test."""

import os
import sys
from pathlib import Path

from hubbub_spawner_worker.spawners import SimpleLocalProcessSpawner

c = get_config()  # noqa: F821
here = Path(__file__).parent


class StandinSpawner(SimpleLocalProcessSpawner):
    """User options `delay` and `fail` reach the stand-in."""

    def get_env(self):
        env = super().get_env()
        for name in ("delay", "fail"):
            if name in self.user_options:
                env[f"STANDIN_{name.upper()}"] = str(self.user_options[name])
        return env


c.JupyterHub.spawner_class = StandinSpawner
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "password-of-everyone"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"admin"}
c.Spawner.cmd = [sys.executable, str(here / "standin.py")]
c.SimpleLocalProcessSpawner.home_dir_template = os.environ["HUBBUB_DATA"] + "/home/{username}"
c.JupyterHub.allow_named_servers = True
c.JupyterHub.log_level = os.environ.get("TEST_LOG_LEVEL", "INFO")
c.JupyterHub.concurrent_spawn_limit = 0
c.JupyterHub.active_server_limit = int(os.environ.get("TEST_ACTIVE_LIMIT", "0"))
c.JupyterHub.cleanup_servers = os.environ.get("TEST_CLEANUP", "1") == "1"
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": float(os.environ.get("TEST_SLOW_SPAWN", "10"))}
c.Hubbub.spawn_retries = 5
c.JupyterHub.services = [{"name": "test", "api_token": "token-of-the-test-service"}]
c.JupyterHub.load_roles = [
    {
        "name": "test",
        "services": ["test"],
        "scopes": [
            "admin:users",
            "admin:servers",
            "tokens",
            "list:users",
            "read:hub",
            "proxy",
            "shutdown",
            "access:servers",
        ],
    }
]
