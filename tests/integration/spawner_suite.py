"""What a spawner of any make has to do under a whole hub with two workers: the suite that all of them pass.

A kind of spawner is tested by a class derived from `SpawnerSuite`, with a class-scoped fixture `kind`.
"""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio

from burst import killed, without
from checks import rows
from stack import HERE, TOKEN, Hub, eventually, hub

#: By what is to break: the user options for it, the status of the answer, and what it says.
FAILURES = {
    "hook": ({"break": "hook"}, 500, "the hook says no"),
    "policy": ({"break": "refused"}, 409, "sold out"),
    "start": ({"break": "start"}, 500, "no room"),
    "start, when something runs already": ({"break": "late"}, 500, "lost in the backend"),
    "start, by not ending": ({"break": "slow", "start_timeout": 3}, 500, "within 3 seconds"),
    "first answer": ({"deaf": 1, "http_timeout": 2}, 500, "within 2 seconds"),
    "server": ({"delay": 1.5, "fail": 3, "http_timeout": 6}, 500, ""),
}


def processes(hub: Hub) -> list[str]:
    """The pids of the stand-ins that are processes of this host."""
    found = []
    for process in psutil.process_iter():
        try:
            environ = process.environ()
            if process.status() != psutil.STATUS_ZOMBIE and environ.get("STANDIN_HUB") == str(hub.data):
                found.append(str(process.pid))
        except (psutil.Error, OSError):
            continue
    return found


def kill_process(hub: Hub, pid: str) -> None:
    os.kill(int(pid), signal.SIGKILL)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A spawner and the backend that its servers live in.

    `config`: lines of the operator's file after those of config_suite.py. `live`: names of what runs in the
    backend, by any way other than the spawner; `kill`: end one of them, just so. `left`: what is there besides,
    and is not to stay when a server is stopped; `clear`: away with what may stay. `options`: of every start.
    `seconds` that a start or stop may take.
    """

    config: str
    live: Callable[[Hub], Sequence[str]] = processes
    kill: Callable[[Hub, str], None] = kill_process
    left: Callable[[Hub], Sequence[str]] = lambda _: ()
    clear: Callable[[], object] = lambda: None
    environ: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    person: str = "ada"
    seconds: float = 30


def base_of(lines: str) -> str:
    """An operator's file: what all of the suite's have in common, and *lines*."""
    return f"load_subconfig({str(HERE / 'config_suite.py')!r})\n{lines}"


class Stage:
    """A hub, and the one person on it whose server is tried."""

    def __init__(self, hub: Hub, kind: Kind) -> None:
        self.hub = hub
        self.kind = kind
        self.path = f"/users/{kind.person}/server"

    async def start(self, **options: Any) -> tuple[int, Any]:
        return await self.hub.api("POST", self.path, {"user_options": {**self.kind.options, **options}})

    async def run(self, **options: Any) -> str:
        """Start it; what lives in the backend then."""
        status, body = await self.start(**options)
        assert status == 201, (status, body, self.hub.logs())
        [workload] = self.live()
        return workload

    async def stop(self) -> None:
        status, body = await self.hub.api("DELETE", self.path)
        assert status == 204, (status, body, self.hub.logs())

    async def server(self) -> dict[str, Any]:
        """Its model, also if it is stopped."""
        model = await self.hub.model(self.kind.person)
        server: dict[str, Any] = model["servers"].get("", {})
        return server

    async def state(self) -> Any:
        """What its spawner remembers."""
        status, server = await self.hub.api("GET", self.path)
        assert status == 200, (status, server)
        return server["state"]

    def live(self) -> list[str]:
        return sorted(self.kind.live(self.hub))

    async def holder(self) -> str | None:
        """The worker that has the running server."""
        found = await rows(self.hub, "select holder from servers where kind = 'Running'")
        return str(found[0]["holder"]) if found and found[0]["holder"] else None

    async def answers(self) -> dict[str, Any]:
        """What the stand-in says at its public address, once it does."""
        said: dict[str, Any] = await eventually(
            lambda: self.hub.standin(self.kind.person), self.kind.seconds, "an answer through the proxy"
        )
        return said

    async def until_ready(self) -> None:
        await eventually(lambda: self.hub.is_ready(self.kind.person), self.kind.seconds, "ready")

    async def until_gone(self) -> None:
        """Nothing lives in the backend, and the API says so."""

        async def is_gone() -> bool:
            server = await self.server()
            return not self.live() and not self.kind.left(self.hub) and server.get("stopped", True)

        try:
            await eventually(is_gone, self.kind.seconds, "nothing left")
        except AssertionError as error:
            left = (self.live(), self.kind.left(self.hub), await self.server())
            raise AssertionError(f"{error}: {left}\n{self.hub.logs()}") from None


@pytest.mark.asyncio(loop_scope="class")
class SpawnerSuite:
    @pytest_asyncio.fixture(scope="class", loop_scope="class")
    @classmethod
    async def shared_stage(cls, kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
        folder = tmp_path_factory.mktemp("suite")
        config = folder / "config.py"
        config.write_text(base_of(kind.config))
        async with hub(folder / "data", config=config, scale="spawner-worker=2", environ=kind.environ) as made:
            await made.user(kind.person)
            yield Stage(made, kind)

    @pytest_asyncio.fixture(loop_scope="class")
    async def stage(self, shared_stage: Stage) -> AsyncIterator[Stage]:
        """With nothing running, before and after."""
        shared_stage.kind.clear()
        yield shared_stage
        await shared_stage.hub.api("DELETE", shared_stage.path)
        await shared_stage.until_gone()

    async def test_it_starts_answers_and_stops(self, stage: Stage):
        await stage.run(word="one for her")

        said = await stage.answers()
        assert said["env"]["JUPYTERHUB_USER"] == stage.kind.person
        assert said["env"]["STANDIN_WORD"] == "one for her"
        server = await stage.server()
        assert (server["ready"], server["pending"]) == (True, None)
        assert server["user_options"] == {**stage.kind.options, "word": "one for her"}

        stopped = stage.hub.data / "stopped"
        before = stopped.read_text() if stopped.exists() else ""
        await stage.stop()
        await stage.until_gone()
        assert stopped.read_text() == f"{before}{stage.kind.person}\n"
        assert await stage.hub.standin(stage.kind.person) is None

    async def test_it_starts_as_the_last_time(self, stage: Stage):
        await stage.run(word="kept")
        first = (await stage.answers())["env"]
        await stage.stop()
        await stage.until_gone()
        status, body = await stage.hub.api("POST", stage.path)
        assert status == 201, (status, body)
        second = (await stage.answers())["env"]
        assert second["STANDIN_WORD"] == "kept"
        await self._may_ask(stage, second["JUPYTERHUB_API_TOKEN"])
        assert first["JUPYTERHUB_API_TOKEN"]

    async def _may_ask(self, stage: Stage, token: str) -> None:
        """The server's token is good for its owner."""
        status, body = await stage.hub.api("GET", "/user", token=token)
        assert (status, body["name"]) == (200, stage.kind.person)

    async def test_its_progress_is_told_until_it_is_ready(self, stage: Stage):
        starting = asyncio.create_task(stage.start(delay=1))
        frames = [frame async for frame in progress_of(stage)]
        assert (frames[0]["progress"], frames[0]["message"]) == (0, "Server requested")
        assert frames[-1]["ready"] is True and frames[-1]["progress"] == 100
        assert frames[-1]["url"] == f"/user/{stage.kind.person}/"
        assert (await starting)[0] == 201

    async def test_its_death_is_noticed(self, stage: Stage):
        workload = await stage.run()
        stage.kind.kill(stage.hub, workload)
        await stage.until_gone()

        async def is_unrouted() -> bool:
            _, routes = await stage.hub.api("GET", "/proxy")
            return f"/user/{stage.kind.person}/" not in routes

        await eventually(is_unrouted, 2, "the proxy to know")

    @pytest.mark.parametrize("what", FAILURES)
    async def test_when_its_start_fails_people_are_told_and_nothing_is_left(self, stage: Stage, what: str):
        options, status, words = FAILURES[what]
        answer, body = await stage.start(**options)
        assert answer == status, (body, stage.hub.logs())
        assert words in body["message"]
        await stage.until_gone()

    async def test_a_start_is_cancelled(self, stage: Stage):
        starting = asyncio.create_task(stage.start(delay=60))
        await eventually(lambda: _lives(stage), stage.kind.seconds, "something in the backend")
        status, _ = await stage.hub.api("DELETE", stage.path)
        assert status in (202, 204)
        await stage.until_gone()
        assert (await starting)[0] != 201

    async def test_it_outlives_its_worker_and_is_stopped_by_the_next(self, stage: Stage):
        workload = await stage.run()
        said = await stage.answers()
        worker = await stage.holder()
        assert worker
        pid = stage.hub.pid(worker)
        stage.hub.kill(worker)
        await killed(pid)
        await eventually(lambda: _is_held(stage), stage.kind.seconds, "a worker that has it")
        await stage.until_ready()
        assert stage.live() == [workload]
        assert (await stage.answers())["env"] == said["env"]
        await stage.stop()

    async def test_a_colleague_takes_it_over_and_notices_its_death(self, stage: Stage):
        workload = await stage.run()
        worker = await stage.holder()
        assert worker
        async with without(stage.hub, worker):
            await eventually(lambda: _is_held(stage, other_than=worker), stage.kind.seconds, "a colleague that has it")
            await stage.until_ready()
            assert stage.live() == [workload]
            stage.kind.kill(stage.hub, workload)
            await stage.until_gone()


async def _is_pending(stage: Stage) -> bool:
    return (await stage.server()).get("pending") == "spawn"


async def _lives(stage: Stage) -> bool:
    return bool(stage.live())


async def _is_held(stage: Stage, other_than: str | None = None) -> bool:
    """By a worker whose process lives."""
    holder = await stage.holder()
    try:
        return holder is not None and holder != other_than and psutil.pid_exists(stage.hub.pid(holder))
    except FileNotFoundError:  # it is being started
        return False


async def progress_of(stage: Stage) -> AsyncIterator[dict[str, Any]]:
    """What people are told of the start that is to come, until it is over."""
    await eventually(lambda: _is_pending(stage), 10, "a start to look at")
    url = f"{stage.hub.url}hub/api{stage.path}/progress"
    headers = {"Authorization": f"token {TOKEN}"}
    async with stage.hub.session.get(url, headers=headers, timeout=aiohttp.ClientTimeout(60)) as response:
        assert response.status == 200, await response.text()
        async for line in response.content:
            if line.startswith(b"data: "):
                yield json.loads(line.removeprefix(b"data: "))
