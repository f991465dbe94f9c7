"""Where the backends of classic spawners keep a server's log."""

import asyncio
import os
from types import SimpleNamespace

import pytest

from hubbub.floor import Floor, Here
from hubbub_spawner_worker.classic.driving import ClassicHosted
from hubbub_spawner_worker.classic.logs import NoJournal, backend_log
from hubbub_spawner_worker.logs import NoLog

LINES = [f"line {number}" for number in range(10)]


class Docker:
    """As dockerspawner's DockerSpawner: `docker` runs a method of the client in a thread."""

    object_id = "c0ffee"
    object_type = "container"

    def docker(self, method, *arguments, **more):
        return asyncio.get_running_loop().run_in_executor(None, lambda: getattr(self, method)(*arguments, **more))

    def logs(self, container, *, stdout, stderr, tail):
        assert (container, stdout, stderr) == ("c0ffee", True, True)
        return "\n".join(LINES[-tail:]).encode() + b"\n\xff"


class Swarm(Docker):
    object_type = "service"

    def service_logs(self, service, *, stdout, stderr, tail):
        return (f"{line}\n".encode() for line in LINES[-tail:])


class Pod:
    """As kubespawner's KubeSpawner."""

    pod_name, namespace = "jupyter-ada", "hub"

    @property
    def api(self):
        return self

    async def read_namespaced_pod_log(self, *, name, namespace, container, tail_lines):
        assert (name, namespace, container) == ("jupyter-ada", "hub", "notebook")
        return "\n".join(LINES[-tail_lines:])


async def test_of_a_container_it_is_dockers():
    assert await backend_log(Docker(), 2) == "line 8\nline 9\n\ufffd"


async def test_of_a_service_of_a_swarm_it_comes_in_parts():
    assert await backend_log(Swarm(), 2) == "line 8\nline 9\n"


async def test_of_a_pod_it_is_that_of_the_servers_container():
    assert await backend_log(Pod(), 1) == "line 9"


async def test_a_wrapped_spawner_is_asked():
    assert await backend_log(SimpleNamespace(child_spawner=Pod()), 1) == "line 9"


@pytest.mark.parametrize(
    "spawner", [SimpleNamespace(), SimpleNamespace(child_spawner=None), SimpleNamespace(unit_name="")]
)
async def test_of_others_nobody_knows(spawner):
    assert await backend_log(spawner, 1) is None


async def test_a_container_that_is_not_there_yet_has_none():
    spawner = Docker()
    spawner.object_id = ""
    assert await backend_log(spawner, 1) is None


@pytest.fixture
def journalctl(tmp_path, monkeypatch):
    """journalctl(script): in the place of the real one."""

    def place(script):
        program = tmp_path / "journalctl"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return place


async def test_of_a_unit_it_is_in_the_journal(journalctl):
    journalctl('echo "$@"')
    told = await backend_log(SimpleNamespace(unit_name="jupyter-ada-singleuser"), 7)
    assert told.split()[-2:] == ["--unit=jupyter-ada-singleuser.service", "--lines=7"]


async def test_a_journal_that_cannot_be_read_says_why(journalctl):
    journalctl("echo 'No journal files were opened' >&2; exit 1")
    with pytest.raises(NoJournal, match="No journal files"):
        await backend_log(SimpleNamespace(unit_name="u"), 7)


async def test_a_host_without_a_journal_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoJournal, match="no journalctl"):
        await backend_log(SimpleNamespace(unit_name="u"), 7)


@pytest.fixture
def hosted():
    """hosted(spawner): as the worker has it."""

    def make(spawner):
        floor = Floor()
        return ClassicHosted(spawner=spawner, seat=Here(), floor=floor, reach="pool", prefix="/user/ada/")

    return make


async def test_the_worker_asks_the_spawner_that_it_holds(hosted):
    assert await hosted(Pod()).log(1) == "line 9"


async def test_where_none_is_kept_that_is_said(hosted):
    with pytest.raises(NoLog, match="keeps no log"):
        await hosted(SimpleNamespace()).log(1)
