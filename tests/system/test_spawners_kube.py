"""kubespawner, unmodified, with a stand-in of the Kubernetes API: pods are processes with addresses of their own."""

import asyncio
import sys
from collections.abc import Iterator

import pytest
from rigs.kube import KubeRig
from rigs.people import STANDIN

from spawner_suite import Kind, SpawnerSuite, Stage, progress_of

pytestmark = pytest.mark.system


class TestKube(SpawnerSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls, kube: KubeRig) -> Iterator[Kind]:
        config = f"""
c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.Spawner.cmd = [{sys.executable!r}, {str(STANDIN)!r}]
c.KubeSpawner.image = "hubbub/standin:1"
c.KubeSpawner.delete_grace_period = 2
"""
        yield Kind(
            config=config,
            live=lambda _: kube.live(),
            kill=lambda _, name: kube.kill(name),
            left=lambda _: kube.pods(),
            environ=kube.environ,
            seconds=60,
        )
        kube.clear()

    async def test_the_clusters_events_are_told(self, stage: Stage):
        starting = asyncio.create_task(stage.start(delay=1))
        messages = [frame["message"] for frame in [frame async for frame in progress_of(stage)]]
        assert any("Started container" in message for message in messages), messages
        assert (await starting)[0] == 201
