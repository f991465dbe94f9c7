"""The configuration of the tests of pages that tell what happened: an operator's hook that takes its time."""

import asyncio
import os
import sys
from pathlib import Path

c = get_config()  # noqa: F821


async def slow_hook(spawner):
    """Its option says how long; `fail` has it refuse."""
    await asyncio.sleep(float(spawner.user_options.get("hook", 0)))
    if spawner.user_options.get("fail"):
        raise RuntimeError("The licence server says no.")


c.JupyterHub.spawner_class = "simple"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "password-of-everyone"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"admin"}
c.JupyterHub.allow_named_servers = True
c.Spawner.cmd = [sys.executable, str(Path(__file__).parents[1] / "integration" / "standin.py")]
# Those who ask for a start go on at once, and look.
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0.1}
c.Spawner.pre_spawn_hook = slow_hook
c.Hubbub.cull = {"rules": [{"users": ["uma"], "idle": 12}]}
c.SimpleLocalProcessSpawner.home_dir_template = os.environ["HUBBUB_DATA"] + "/home/{username}"
