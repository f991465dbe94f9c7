"""Servers that may have little of everything, and do as they are told by whoever visits them."""

import os
import sys
from pathlib import Path

from hubbub_spawner_worker.spawners import SimpleLocalProcessSpawner

c = get_config()  # noqa: F821


class ObedientSpawner(SimpleLocalProcessSpawner):
    """The user option `eat`: so many MB before it listens."""

    def get_env(self):
        return {**super().get_env(), "EAT": str(self.user_options.get("eat", 0))}


c.JupyterHub.spawner_class = ObedientSpawner
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "password-of-everyone"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"admin"}
c.Spawner.cmd = [sys.executable, str(Path(__file__).parent / "obedient.py")]
c.Spawner.mem_limit = "128M"
c.Spawner.cpu_limit = 0.5
c.SimpleLocalProcessSpawner.home_dir_template = os.environ["HUBBUB_DATA"] + "/home/{username}"
c.JupyterHub.services = [{"name": "test", "api_token": "token-of-the-test-service"}]
c.JupyterHub.load_roles = [
    {"name": "test", "services": ["test"], "scopes": ["admin:users", "admin:servers", "tokens", "list:users"]}
]
