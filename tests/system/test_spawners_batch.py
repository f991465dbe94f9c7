"""batchspawner, unmodified, on a real Slurm of one node; a server tells its port by POST /hub/api/batchspawner."""

import pytest
from rigs.people import Visitor
from rigs.slurm import SlurmRig

from spawner_suite import Kind, SpawnerSuite, Stage

pytestmark = pytest.mark.system


class TestSlurm(SpawnerSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls, slurm: SlurmRig, guest: Visitor) -> Kind:
        wrapper = guest.script("batchspawner-singleuser", "from batchspawner.singleuser import main\nmain()\n")
        config = f"""
import batchspawner  # as its documentation asks for
c.JupyterHub.spawner_class = "batchspawner.SlurmSpawner"
c.Spawner.cmd = [{str(guest.standin)!r}]
c.Spawner.env_keep = ["PATH", "SLURM_CONF"]
c.BatchSpawnerBase.batchspawner_singleuser_cmd = {str(wrapper)!r}
c.BatchSpawnerBase.startup_poll_interval = 0.1
c.BatchSpawnerBase.start_timeout = 30
"""
        return Kind(
            config=config,
            live=lambda _: slurm.live(),
            kill=lambda _, job: slurm.kill(job),
            environ=slurm.environ,
            person=guest.name,
            seconds=60,
        )

    async def test_the_job_is_the_persons(self, stage: Stage, slurm: SlurmRig, guest: Visitor):
        job = await stage.run()
        assert slurm.owner(job) == guest.name
        assert (await stage.state())["job_id"] == job
        await stage.stop()
