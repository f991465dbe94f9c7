"""sudospawner, unmodified, with sudo and its mediator; systemdspawner with stand-ins of systemd's commands."""

from collections.abc import Iterator

import psutil
import pytest
from rigs.people import Visitor
from rigs.systemd import SystemdRig

from spawner_suite import Kind, SpawnerSuite, Stage

pytestmark = pytest.mark.system


class TestSudo(SpawnerSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls, guest: Visitor) -> Kind:
        mediator = guest.script("sudospawner", "from sudospawner.mediator import main\nmain()\n")
        guest.script(
            "sudospawner-singleuser", f"import runpy\nrunpy.run_path({str(guest.standin)!r}, None, '__main__')\n"
        )
        config = f"""
c.JupyterHub.spawner_class = "sudospawner.SudoSpawner"
c.SudoSpawner.sudospawner_path = {str(mediator)!r}
"""
        return Kind(config=config, person=guest.name)

    async def test_the_process_is_the_persons(self, stage: Stage, guest: Visitor):
        pid = await stage.run()
        assert psutil.Process(int(pid)).username() == guest.name
        await stage.stop()


class TestSystemd(SpawnerSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls, systemd: SystemdRig, guest: Visitor) -> Iterator[Kind]:
        config = f"""
c.JupyterHub.spawner_class = "systemdspawner.SystemdSpawner"
c.SystemdSpawner.unit_name_template = "hubbub-rig-{{USERNAME}}"
c.SystemdSpawner.default_shell = "/bin/bash"
c.Spawner.cmd = [{str(guest.standin)!r}]
"""
        environ = systemd.environ
        yield Kind(config=config, left=lambda _: systemd.left(), environ=environ, person=guest.name)
        systemd.clear()

    async def test_the_unit_is_the_persons(self, stage: Stage, guest: Visitor):
        pid = await stage.run()
        assert psutil.Process(int(pid)).username() == guest.name
        assert await stage.state() == {"unit_name": f"hubbub-rig-{guest.name}"}
        await stage.stop()
