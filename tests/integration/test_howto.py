"""What docs/spawners.md and docs/workers.md tell people to do, done: the code is read from the pages themselves."""

import asyncio
import os
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from checks import rows
from stack import HERE, Hub, eventually, hub

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = (HERE.parent.parent / "docs" / "spawners.md").read_text()

BEFORE = """
c = get_config()
load_subconfig(standins)
"""
AFTER = """
sys.path.insert(0, folder)
c.Hubbub.pools = {"elsewhere": {"users": ["bea"], "spawner_class": "plain.PlainSpawner"}}
c.PlainSpawner.nice = 5
c.SimpleLocalProcessSpawner.home_dir_template = folder + "/data/home/{username}"  # the same for every worker
"""


def block(first: str) -> str:
    """The indented block of the page that begins with that line."""
    lines = PAGE[PAGE.index(f"    # {first}\n") :].splitlines()
    length = next(number for number, line in enumerate(lines) if line and not line.startswith("    "))
    return textwrap.dedent("\n".join(lines[:length]))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    """Nobody works in the pool `elsewhere`, as far as `hubbub up` knows."""
    folder: Path = tmp_path_factory.mktemp("howto")
    (folder / "plain.py").write_text(block("plain.py"))
    config = folder / "jupyterhub_config.py"
    known = f"import sys\nfolder, standins = {str(folder)!r}, {str(HERE / 'config_standin.py')!r}\n"
    config.write_text(known + BEFORE + block("jupyterhub_config.py") + AFTER)
    async with hub(folder / "data", config=config, scale="spawner-worker@elsewhere=0") as made:
        yield made


async def test_a_class_with_a_form_and_arguments(house: Hub):
    await house.user("ada")
    status, body = await house.api("POST", "/users/ada/server", {"user_options": {"arguments": ["--size=3"]}})
    assert status == 201, (body, house.logs())
    assert (await house.standin("ada") or {})["args"] == ["--size=3"]
    assert (await house.api("DELETE", "/users/ada/server"))[0] == 204


@pytest_asyncio.fixture(loop_scope="module")
async def elsewhere(house: Hub, tmp_path: Path) -> AsyncIterator["Elsewhere"]:
    status, told = await house.command("worker", "env", "elsewhere")
    assert status == 0, told
    environ = dict(line.split("=", 1) for line in told.splitlines())
    made = Elsewhere(house, environ, tmp_path / "data")
    await made.start()
    yield made
    await made.kill()


class Elsewhere:
    """A worker that somebody has started by hand: it is told where NATS is, and nothing of Postgres."""

    def __init__(self, house: Hub, environ: dict[str, str], data: Path) -> None:
        assert not [value for value in environ.values() if "postgres" in value]
        config = house.arguments[house.arguments.index("--config") + 1]
        mine = {"HUBBUB_CONFIG": config, "HUBBUB_DATA": str(data), "HUBBUB_INSTANCE": "elsewhere-1"}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environ = {"PATH": path, "HUBBUB_LEASE_SECONDS": "2", **environ, **mine}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "hubbub_spawner_worker"),
            env=self._environ,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )

    async def kill(self) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


async def test_a_class_of_its_own_on_a_worker_that_knows_only_nats(house: Hub, elsewhere: Elsewhere):
    """Which is killed, and comes back to what it had begun."""
    await house.user("bea")
    status, body = await house.api("POST", "/users/bea/server")
    assert status == 201, (body, house.logs())
    status, model = await house.api("GET", "/users/bea/server")
    pid = model["state"]["pid"]
    assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5)
    assert (await house.standin("bea") or {})["pid"] == pid

    async def is_held() -> bool:
        return bool(await rows(house, "select 1 from servers where kind = 'Running' and holder = 'elsewhere-1'"))

    await elsewhere.kill()
    await elsewhere.start()
    await eventually(is_held, 20, "it has come back")
    assert await house.is_ready("bea")
    assert (await house.api("DELETE", "/users/bea/server"))[0] == 204
    assert not psutil.pid_exists(pid)
