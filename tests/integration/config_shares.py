"""The configuration of the other integration tests, with servers that ask the hub whom to let in."""

import sys
from pathlib import Path

c = get_config()  # noqa: F821
load_subconfig("config_standin.py")  # noqa: F821
c.Spawner.cmd = [sys.executable, str(Path(__file__).parent / "shared_standin.py")]
c.JupyterHub.load_roles += [{"name": "sharing", "services": ["test"], "scopes": ["shares", "admin:groups"]}]
