"""What every kind of authenticator is configured with in the suite that all of them pass (login_suite.py).

The kind's own lines come after these. Names have TEST_PREFIX before them, for people who are accounts of this host.
"""

import json
import os
import sys
from pathlib import Path

c = get_config()  # noqa: F821
here = Path(__file__).parent
data = Path(os.environ["HUBBUB_DATA"])
prefix = os.environ.get("TEST_PREFIX", "")


def keep(spawner, auth_state):
    """c.Spawner.auth_state_hook: shows the test what came to the worker."""
    told = data / "told"
    told.mkdir(exist_ok=True)
    seen = {"state": auth_state, "pid": os.getpid()}
    (told / f"{spawner.user.name}.json").write_text(json.dumps(seen))


c.JupyterHub.spawner_class = "simple"
c.Spawner.cmd = [sys.executable, str(here / "shared_standin.py")]
c.Spawner.auth_state_hook = keep
c.SimpleLocalProcessSpawner.home_dir_template = f"{data}/home/{{username}}"
c.JupyterHub.log_level = "DEBUG"  # what must not be in the logs is not there then, either
c.JupyterHub.concurrent_spawn_limit = 0
c.JupyterHub.services = [{"name": "test", "api_token": "token-of-the-test-service"}]
c.JupyterHub.load_roles = [
    {
        "name": "test",
        "services": ["test"],
        "scopes": ["admin:users", "tokens", "admin:groups", "admin:servers", "list:users", "read:hub", "read:roles"],
    }
]
c.Authenticator.allowed_users = {f"{prefix}{name}" for name in ("ada", "bob", "grace", "eve", "gus", "rita", "rory")}
c.Authenticator.admin_users = {f"{prefix}boss"}
c.Authenticator.blocked_users = {f"{prefix}eve"}
c.Authenticator.username_map = {f"{prefix}ghopper": f"{prefix}grace"}
