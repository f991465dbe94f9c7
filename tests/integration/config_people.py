"""The configuration of the other integration tests, with groups, roles and services to look at in the admin room."""

import os
import sys
from pathlib import Path

c = get_config()  # noqa: F821
load_subconfig(str(Path(__file__).parent / "config_standin.py"))  # noqa: F821

c.Hubbub.spawn_retries = 0
c.JupyterHub.load_groups = {"class": {"users": ["ada", "bob"], "properties": {"year": 1}}, "staff": []}
c.JupyterHub.load_roles = [
    *c.JupyterHub.load_roles,
    {
        "name": "teacher",
        "description": "Looks after the class",
        "scopes": ["list:users!group=class", "servers!group=class"],
        "groups": ["staff"],
        "users": ["bob"],
    },
]
c.JupyterHub.services = [
    *c.JupyterHub.services,
    {"name": "clock", "command": [sys.executable, "-c", "import time; time.sleep(3600)"]},
    {"name": "board", "url": os.environ.get("TEST_BOARD", "http://127.0.0.1:9"), "oauth_no_confirm": True},
]
