"""What every kind of spawner is configured with in the suite that all of them pass (spawner_suite.py).

User options reach the stand-in by its environment, and say where the start is to break.
"""

import asyncio
import os
import sys
from pathlib import Path

c = get_config()  # noqa: F821
here = Path(__file__).parent
data = Path(os.environ["HUBBUB_DATA"])


def option(name):
    """A value for c.Spawner.environment: what the person asked for."""
    return lambda spawner: str(spawner.user_options.get(name, ""))


def refusal(spawner):
    """SpawnException of the house that the spawner comes from."""
    if any(kind.__module__ == "jupyterhub.spawner" for kind in type(spawner).__mro__):
        from jupyterhub.spawner import SpawnException
    else:
        from hubbub_spawner_worker.spawners import SpawnException
    return SpawnException("sold out", reason="capacity", status_code=409)


async def before(spawner):
    """c.Spawner.pre_spawn_hook: it breaks what is to be broken, on the live object."""
    options = spawner.user_options
    for name in ("start_timeout", "http_timeout"):
        if name in options:
            setattr(spawner, name, options[name])
    start = spawner.start

    async def refuse():
        raise RuntimeError("no room")

    async def fail_late():
        await start()
        raise RuntimeError("lost in the backend")

    async def never_return():
        await start()
        await asyncio.sleep(3600)

    match options.get("break"):
        case "hook":
            raise RuntimeError("the hook says no")
        case "refused":
            raise refusal(spawner)
        case "start":
            spawner.start = refuse
        case "late":
            spawner.start = fail_late
        case "slow":
            spawner.start = never_return


def after(spawner):
    """c.Spawner.post_stop_hook."""
    with (data / "stopped").open("a") as file:
        file.write(f"{spawner.user.name}\n")


c.Spawner.cmd = [sys.executable, str(here / "standin.py")]
c.Spawner.environment = {
    "STANDIN_DELAY": option("delay"),
    "STANDIN_FAIL": option("fail"),
    "STANDIN_DEAF": option("deaf"),
    "STANDIN_WORD": option("word"),
    "STANDIN_HUB": str(data),
}
c.Spawner.pre_spawn_hook = before
c.Spawner.post_stop_hook = after
c.Spawner.poll_interval = 1
c.SimpleLocalProcessSpawner.home_dir_template = f"{data}/home/{{username}}"
c.LocalProcessSpawner.interrupt_timeout = 5

c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "password-of-everyone"
c.Authenticator.allow_all = True
c.JupyterHub.allow_named_servers = True
c.JupyterHub.concurrent_spawn_limit = 0
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 60, "slow_stop_timeout": 30}
c.Hubbub.spawn_retries = 5
c.JupyterHub.services = [{"name": "test", "api_token": "token-of-the-test-service"}]
c.JupyterHub.load_roles = [
    {
        "name": "test",
        "services": ["test"],
        "scopes": ["admin:users", "admin:servers", "list:users", "read:hub", "proxy", "access:servers"],
    }
]
