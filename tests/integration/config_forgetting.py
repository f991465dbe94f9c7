"""Everything that a person can do, at the most talkative."""

import os
import sys
from pathlib import Path

c = get_config()  # noqa: F821

c.JupyterHub.spawner_class = "simple"
c.JupyterHub.authenticator_class = "hubbub-passwords"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"admin"}
c.Spawner.cmd = [sys.executable, str(Path(__file__).parent / "standin.py")]
c.SimpleLocalProcessSpawner.home_dir_template = os.environ["HUBBUB_DATA"] + "/home/{username}"
c.JupyterHub.allow_named_servers = True
c.JupyterHub.log_level = "DEBUG"
c.JupyterHub.services = [{"name": "test", "api_token": "token-of-the-test-service"}]
everything = ["admin:users", "admin:servers", "admin:groups", "tokens", "list:users", "read:events", "shares"]
c.JupyterHub.load_roles = [{"name": "test", "services": ["test"], "scopes": [*everything, "access:servers"]}]
