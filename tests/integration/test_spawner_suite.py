"""Our own spawners pass the suite: servers as processes, and a user's class derived from ours."""

import getpass

import pytest

from spawner_suite import Kind, SpawnerSuite


class TestSimple(SpawnerSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> Kind:
        return Kind(config="c.JupyterHub.spawner_class = 'simple'")


class TestLocal(SpawnerSuite):
    """As the UNIX user who runs the tests, the only one there is for sure."""

    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> Kind:
        return Kind(config="c.JupyterHub.spawner_class = 'localprocess'", person=getpass.getuser())


OWN = """
import asyncio
import os
import signal

from hubbub_spawner_worker.spawners import Spawner


class OwnSpawner(Spawner):
    pid = 0

    async def start(self):
        self.port = self.place.reserve_port(self.ip)
        process = await asyncio.create_subprocess_exec(
            *self.cmd, *self.get_args(), env=self.get_env(), start_new_session=True
        )
        self.pid = process.pid
        return self.ip, self.port

    async def poll(self):
        try:
            state = open(f"/proc/{self.pid}/stat").read().rpartition(")")[2].split()[0]
        except OSError:
            return 0
        return 0 if state in "ZX" else None

    async def stop(self, now=False):
        os.kill(self.pid, signal.SIGTERM)
        while await self.poll() is None:
            await asyncio.sleep(0.05)

    def get_state(self):
        return {**super().get_state(), "pid": self.pid}

    def load_state(self, state):
        super().load_state(state)
        self.pid = state.get("pid", 0)

    def clear_state(self):
        super().clear_state()
        self.pid = 0

    async def progress(self):
        yield {"progress": 20, "message": "thinking of a pid"}


c.JupyterHub.spawner_class = OwnSpawner
"""


class TestOwn(SpawnerSuite):
    """A class that an operator derived from our Spawner, with everything written by hand."""

    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> Kind:
        return Kind(config=OWN)
