"""Some seconds of server time for those in a group, and one server at once for everybody."""

import os
import sys
from pathlib import Path

c = get_config()  # noqa: F821

c.JupyterHub.spawner_class = "simple"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "password-of-everyone"
c.Authenticator.allow_all = True
c.Spawner.cmd = [sys.executable, str(Path(__file__).parent / "standin.py")]
c.SimpleLocalProcessSpawner.home_dir_template = os.environ["HUBBUB_DATA"] + "/home/{username}"
c.JupyterHub.allow_named_servers = True
c.Hubbub.quotas = {
    "servers": 1,
    "rules": [{"groups": ["guests"], "servers": 2, "hours": 8 / 3600, "per": "month"}],
}
c.JupyterHub.services = [{"name": "test", "api_token": "token-of-the-test-service"}]
scopes = ["admin:users", "admin:servers", "admin:groups", "tokens", "list:users", "read:events"]
c.JupyterHub.load_roles = [{"name": "test", "services": ["test"], "scopes": scopes}]
