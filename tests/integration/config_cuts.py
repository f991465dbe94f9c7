"""Three kinds of spawner for the cuts at every step (faults/test_cuts.py); TEST_REACH says which.

What they start is found by its environment (`Hub.workloads`), whatever the spawner knows of it.
"""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import psutil

c = get_config()  # noqa: F821
load_subconfig(str(Path(__file__).parent / "config_standin.py"))  # noqa: F821

homes = os.environ["HUBBUB_DATA"] + "/home"
reach = os.environ["TEST_REACH"]
STATE_IS_TOLD = 0.6  # seconds: a classic spawner's state is asked for four times a second


async def scopes(spawner):
    return list(spawner.server_token_scopes) if not callable(spawner.server_token_scopes) else ["access:servers!server"]


if reach == "host":
    from jupyterhub.spawner import SimpleLocalProcessSpawner

    class HostSpawner(SimpleLocalProcessSpawner):
        """JupyterHub's own, which takes its time, as most do."""

        async def start(self):
            os.makedirs(self.home_dir, exist_ok=True)
            address = await super().start()
            await asyncio.sleep(STATE_IS_TOLD)
            return address

    c.JupyterHub.spawner_class = HostSpawner
    c.HostSpawner.home_dir_template = homes + "/{username}"

if reach == "pool":
    from jupyterhub.spawner import Spawner
    from jupyterhub.utils import random_port

    class PoolSpawner(Spawner):
        """What it starts is named after the person alone, as Docker's containers are: no attempt is told from another.

        An earlier one of that name is removed when another is to be made.
        """

        def _mine(self):
            home = f"{homes}/{self.user.name}"
            found = []
            for process in psutil.process_iter():
                try:
                    if process.status() != psutil.STATUS_ZOMBIE and process.environ().get("HOME") == home:
                        found.append(process)
                except (psutil.Error, OSError):
                    continue
            return found

        async def start(self):
            await self.stop()
            self.port = random_port()
            env = {**self.get_env(), "HOME": f"{homes}/{self.user.name}"}
            subprocess.Popen(self.cmd, env=env, start_new_session=True)  # noqa: ASYNC220
            await asyncio.sleep(STATE_IS_TOLD)
            return "127.0.0.1", self.port

        def get_state(self):
            return {**super().get_state(), "name": self.user.name}

        async def poll(self):
            return None if self._mine() else 0

        async def stop(self, now=False):
            while found := self._mine():
                for process in found:
                    process.send_signal(signal.SIGKILL)
                await asyncio.sleep(0.05)

    c.JupyterHub.spawner_class = PoolSpawner

if reach != "process":
    c.Spawner.server_token_scopes = scopes
c.Spawner.poll_interval = 1
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 60, "slow_stop_timeout": 60}
