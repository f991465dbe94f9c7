"""A worker on another host: one file is all that it needs of the hub, until that is revoked."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from checks import five_checks, rows
from stack import HERE, Hub, eventually, hub

HOLDERS = "select holder from servers where kind = 'Running'"


@asynccontextmanager
async def worker(file: Path, data: Path, homes: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """As somebody starts it there: it knows the credential and the configuration."""
    environ = {
        "PATH": os.environ["PATH"],
        "HUBBUB_CREDENTIAL": str(file),
        "HUBBUB_CONFIG": str(HERE / "config_remote.py"),
        "HUBBUB_DATA": str(data),
        "HUBBUB_LEASE_SECONDS": "2",
        "TEST_HOMES": str(homes),
    }
    with data.with_suffix(".log").open("wb") as log:
        command = (sys.executable, "-m", "hubbub_spawner_worker")
        process = await asyncio.create_subprocess_exec(*command, env=environ, stdout=log, stderr=log)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def credential(house: Hub, file: Path, *arguments: str) -> None:
    """What goes to standard output goes into the file; what is said besides is not in it."""
    command = [str(Path(sys.executable).parent / "hubbub"), "worker", *arguments, "--data", str(house.data)]
    with file.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=asyncio.subprocess.PIPE)
        _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, said.decode()


async def _workers(house: Hub) -> str:
    return (await house.command("worker", "list"))[1]


async def test_one_file_makes_a_worker_and_revoking_ends_it(tmp_path: Path) -> None:
    homes, file, data = tmp_path / "data" / "homes", tmp_path / "far-1.json", tmp_path / "far"
    environ = {"TEST_HOMES": str(homes)}
    config = HERE / "config_remote.py"
    async with hub(tmp_path / "data", config=config, scale="spawner-worker@far=0", environ=environ) as house:
        await credential(house, file, "add", "--pool", "far")
        await house.user("bea")
        async with worker(file, data, homes):
            status, body = await house.api("POST", "/users/bea/server")
            assert status == 201, (body, house.logs(), data.with_suffix(".log").read_text())
            assert [row["holder"] for row in await rows(house, HOLDERS)] == ["far-1"]
            assert (await house.standin("bea") or {})["pid"]

            assert (await house.command("worker", "revoke", "far-1"))[0] == 0
            assert "far-1" not in await _workers(house)

            async def is_over() -> bool:
                """The worker is lost, and nobody else can get at what it has started."""
                _, model = await house.api("GET", "/users/bea")
                return "" not in model["servers"]

            await eventually(is_over, 60, "its server counts as lost")
            assert "Authorization Violation" in data.with_suffix(".log").read_text()

            # Back with a fresh one, its successor settles what is left.
            await credential(house, file, "add", "--pool", "far", "--name", "far-1")
        async with worker(file, data, homes):

            async def is_clear() -> bool:
                return not (await house.api("GET", "/orphans"))[1] and not house.workloads()

            await eventually(is_clear, 60, "what the revoked one had begun is ended")
            status, body = await house.api("POST", "/users/bea/server")
            assert status == 201, (body, house.logs(), data.with_suffix(".log").read_text())
            await five_checks(house)
            assert (await house.api("DELETE", "/users/bea/server"))[0] == 204
