"""dockerspawner, unmodified, with a real Docker daemon: containers kept, removed, and chosen by a form."""

from collections.abc import Iterator

import pytest
from rigs.docker import IMAGES, DockerRig

from spawner_suite import Kind, SpawnerSuite, Stage

pytestmark = pytest.mark.system


@pytest.fixture(scope="class")
def rig(docker: DockerRig) -> Iterator[DockerRig]:
    """Without containers, before and after."""
    docker.clear()
    yield docker
    docker.clear()


def kind_of(rig: DockerRig, config: str, *, removes: bool, **more: object) -> Kind:
    return Kind(
        config=rig.config + config,
        live=lambda _: rig.live(),
        kill=lambda _, name: rig.kill(name),
        left=lambda _: [str(one.name) for one in rig.containers()] if removes else [],
        clear=rig.clear,
        environ=rig.environ,
        seconds=60,
        **more,
    )


class TestDocker(SpawnerSuite):
    """As it comes: a stopped container is kept, and started again with the token that it was made with."""

    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls, rig: DockerRig) -> Kind:
        return kind_of(rig, "c.JupyterHub.spawner_class = 'dockerspawner.DockerSpawner'\n", removes=False)

    async def test_a_container_that_is_started_again_keeps_its_token(self, stage: Stage, rig: DockerRig):
        await stage.run()
        first = await stage.answers()
        await stage.stop()
        [kept] = [one.id for one in rig.containers()]
        await stage.run()
        second = await stage.answers()
        assert [one.id for one in rig.containers()] == [kept]
        token = second["env"]["JUPYTERHUB_API_TOKEN"]
        assert token == first["env"]["JUPYTERHUB_API_TOKEN"]
        status, body = await stage.hub.api("GET", "/user", token=token)
        assert (status, body["name"]) == (200, stage.kind.person)


class TestDockerThatRemoves(SpawnerSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls, rig: DockerRig) -> Kind:
        config = "c.JupyterHub.spawner_class = 'docker'\nc.DockerSpawner.remove = True\n"
        return kind_of(rig, config, removes=True)


TUTORIAL = f"""
from dockerspawner import DockerSpawner


class ChosenImage(DockerSpawner):
    def _options_form_default(self):
        return 'Stack: <select name="stack"><option>small</option><option>large</option></select>'

    def options_from_form(self, form):
        return {{"stack": form["stack"][0]}}

    async def start(self):
        self.image = {{"small": {IMAGES[0]!r}, "large": {IMAGES[1]!r}}}[self.user_options["stack"]]
        return await super().start()


c.JupyterHub.spawner_class = ChosenImage
c.DockerSpawner.remove = True
"""


class TestChosenImage(SpawnerSuite):
    """A class from the tutorials: the image comes from an options form."""

    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls, rig: DockerRig) -> Kind:
        return kind_of(rig, TUTORIAL, removes=True, options={"stack": "large"})

    async def test_the_container_is_of_the_chosen_image(self, stage: Stage, rig: DockerRig):
        await stage.run()
        [container] = rig.containers()
        assert container.attrs["Config"]["Image"] == IMAGES[1]
        await stage.stop()
