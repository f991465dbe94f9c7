"""JupyterHub's and our spawners of local processes, with real users, unmodified; wrapspawner; tutorials' classes."""

import pytest
from rigs.people import Visitor

from spawner_suite import Kind, SpawnerSuite

pytestmark = pytest.mark.system


class TestOurLocal(SpawnerSuite):
    """Ours, started by root for another UNIX user."""

    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls, guest: Visitor) -> Kind:
        return Kind(
            config=f"c.JupyterHub.spawner_class = 'localprocess'\nc.Spawner.cmd = [{str(guest.standin)!r}]\n",
            person=guest.name,
        )


class TestJupyterHubsLocal(SpawnerSuite):
    """JupyterHub's own class, which is meant by its object (the name means ours)."""

    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls, guest: Visitor) -> Kind:
        config = f"""
from jupyterhub.spawner import LocalProcessSpawner
c.JupyterHub.spawner_class = LocalProcessSpawner
c.Spawner.cmd = [{str(guest.standin)!r}]
"""
        return Kind(config=config, person=guest.name)


class TestJupyterHubsSimple(SpawnerSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> Kind:
        config = """
from jupyterhub.spawner import SimpleLocalProcessSpawner
c.JupyterHub.spawner_class = SimpleLocalProcessSpawner
"""
        return Kind(config=config)


class TestProfiles(SpawnerSuite):
    """wrapspawner's ProfilesSpawner around JupyterHub's class for local processes."""

    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> Kind:
        config = """
c.JupyterHub.spawner_class = "wrapspawner.ProfilesSpawner"
simple = "jupyterhub.spawner.SimpleLocalProcessSpawner"
c.ProfilesSpawner.profiles = [
    ("Small", "small", simple, dict(args=["--size=small"])),
    ("Large", "large", simple, dict(args=["--size=large"])),
]
"""
        return Kind(config=config, options={"profile": "small"})

    async def test_the_profile_is_the_one_that_was_asked_for(self, stage):
        await stage.run(profile="large")
        assert (await stage.answers())["args"] == ["--size=large"]
        await stage.stop()
