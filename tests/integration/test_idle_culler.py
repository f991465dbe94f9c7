"""jupyterhub-idle-culler, unmodified and as a process of its own: it ends what is idle and leaves the rest."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from external import operators_words
from stack import HERE, Hub, eventually, hub

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN = "token-of-the-service-culler"
SERVICES = [{"name": "culler", "api_token": TOKEN}]
#: What the culler's documentation asks for, and no more.
SCOPES = ["list:users", "read:users:activity", "read:servers", "delete:servers", "admin:users"]
ROLES = [{"name": "culler", "services": ["culler"], "scopes": SCOPES}]
#: Idle is who has done nothing for a second; pages are small, so that the culler follows `next`.
HABITS = ["--timeout=1", "--cull-every=1", "--api-page-size=1", "--IdleCuller.log_level=DEBUG"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    data = tmp_path_factory.mktemp("culler") / "data"
    async with hub(data, config=HERE / "config_services.py", environ=operators_words(SERVICES, ROLES)) as made:
        yield made


class Culler:
    """Follows what it writes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        self._output = process.stdout
        self.lines: list[str] = []

    async def says(self, text: str, seconds: float = 20) -> str:
        """The next line with *text* in it."""
        try:
            async with asyncio.timeout(seconds):
                async for line in self._output:
                    self.lines.append(line.decode(errors="replace"))
                    if text in self.lines[-1]:
                        return self.lines[-1]
        except TimeoutError:
            pass
        raise AssertionError(f"the culler did not say {text!r}:\n" + "".join(self.lines))

    async def goes_round(self) -> None:
        """It has looked at everybody once more: a round begins with the list, and the next one when it is through."""
        for _ in range(2):
            await self.says("users with ready servers")


@asynccontextmanager
async def culler(house: Hub, folder: Path, *arguments: str) -> AsyncIterator[Culler]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "jupyterhub_idle_culler",
        *HABITS,
        *arguments,
        env={**os.environ, "JUPYTERHUB_API_TOKEN": TOKEN, "JUPYTERHUB_API_URL": f"{house.url}hub/api"},
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    made = Culler(process)
    try:
        yield made
        # It goes on after an error. Its first two rounds may overlap: what one has removed is a 404 for the other.
        assert not [line for line in made.lines if "HTTP 403" in line or "HTTP 5" in line]
    finally:
        process.terminate()
        await process.communicate()


async def start(house: Hub, name: str, server: str = "") -> None:
    await house.user(name)
    status, body = await house.api("POST", f"/users/{name}/servers/{server}")
    assert status == 201, body


async def work(house: Hub, name: str, *servers: str) -> None:
    """Be active for a while yet: clocks may differ, and the hub believes what lies within the next hour."""
    at = (datetime.now(UTC) + timedelta(minutes=30)).isoformat()
    body = {"last_activity": at, "servers": {server: {"last_activity": at} for server in servers}}
    status, answer = await house.api("POST", f"/users/{name}/activity", body)
    assert status == 200, answer


async def test_idle_servers_are_culled_and_active_ones_are_not(house: Hub, tmp_path: Path) -> None:
    for name, server in (("ada", ""), ("ada", "gpu"), ("bob", ""), ("cleo", ""), ("cleo", "busy")):
        await start(house, name, server)
    await work(house, "bob", "")
    await work(house, "cleo", "busy")

    async def all_culled() -> bool:
        ada, cleo = await house.model("ada"), await house.model("cleo")
        return not [each for each in ada["servers"].values() if each["ready"]] and not cleo["servers"][""]["ready"]

    async with culler(house, tmp_path, "--remove-named-servers=True") as running:
        await running.says("Culling server ada/gpu")
        await eventually(all_culled, 20, "the idle servers are culled")
        await running.goes_round()
        ada = await house.model("ada")
        assert "gpu" not in ada["servers"], "a named server is removed, not stopped alone"
        assert ada["servers"][""]["stopped"] is True
        assert await house.is_ready("bob") and await house.standin("bob")
        assert await house.is_ready("cleo", "busy") and await house.standin("cleo", "busy")
        assert [line for line in running.lines if "Fetching page 2 " in line]
        assert not [line for line in running.lines if "Culling user" in line]
    places = sorted(process.environ()["JUPYTERHUB_SERVICE_PREFIX"] for process in house.workloads())
    assert places == ["/user/bob/", "/user/cleo/busy/"]


async def test_idle_people_are_culled_with_their_servers(house: Hub, tmp_path: Path) -> None:
    for name in ("dora", "emma", "fay", "admin"):
        await house.user(name)
    await start(house, "emma")  # idle, and so is she
    await start(house, "gina")
    await work(house, "gina", "")
    await work(house, "fay")

    async def names() -> set[str]:
        _, body = await house.api("GET", "/users")
        return {each["name"] for each in body}

    async def all_culled() -> bool:
        return not await names() & {"dora", "emma"}

    async with culler(house, tmp_path, "--cull-users=True", "--cull-admin-users=False") as running:
        await eventually(all_culled, 20, "the idle people are culled")
        await running.goes_round()
        assert {"admin", "fay", "gina"} <= await names()
        assert await house.is_ready("gina") and await house.standin("gina")
        fetched = await running.says("users with inactive servers")
        assert json.loads(fetched.partition("Got ")[2].partition(" ")[0]) >= 2
    assert "/user/emma/" not in [process.environ()["JUPYTERHUB_SERVICE_PREFIX"] for process in house.workloads()]
