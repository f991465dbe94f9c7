"""Twenty people who want their servers at once, and do not give up: what most of the fault tests have under way."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from checks import all_ready, five_checks
from stack import Hub, eventually

#: What a client that is told so may ask again: nobody there, or nobody who could decide.
AGAIN = (502, 503, 504)
PEOPLE = [f"user-{number:02}" for number in range(20)]


async def settle_in(hub: Hub, names: Iterable[str] = PEOPLE) -> None:
    """Make the users."""
    status, body = await hub.api("POST", "/users", {"usernames": list(names)})
    assert status == 201, body


async def ask(
    hub: Hub, method: str, path: str, body: object = None, seconds: float = 60, **kwargs: Any
) -> tuple[int, Any]:
    """A request that is made again if it was cut off, as a client would; status and body of the answer."""
    ends = time.monotonic() + seconds
    while True:
        try:
            status, answer = await hub.api(method, path, body, **kwargs)
        except (aiohttp.ClientError, TimeoutError) as error:
            status, answer = 503, repr(error)
        if status not in AGAIN or time.monotonic() > ends:
            return status, answer
        await asyncio.sleep(0.1)


async def start(hub: Hub, name: str, delay: float = 0) -> None:
    """*delay*: seconds until the stand-in listens."""
    status, body = await ask(hub, "POST", f"/users/{name}/server", {"user_options": {"delay": delay}})
    assert status in (201, 202) or (status == 400 and "already running" in str(body)), (name, status, body)


async def stop(hub: Hub, name: str) -> None:
    status, body = await ask(hub, "DELETE", f"/users/{name}/server")
    assert status in (202, 204), (name, status, body)


async def all_stopped(hub: Hub, seconds: float) -> None:
    async def none_is_there() -> bool:
        return not hub.workloads()

    await eventually(none_is_there, seconds, "all servers stopped")


async def emptied(hub: Hub, names: Iterable[str] = PEOPLE) -> None:
    """Stop what the test before has left running."""
    await asyncio.gather(*(stop(hub, name) for name in names))
    await all_stopped(hub, 60)


@asynccontextmanager
async def starting(hub: Hub, names: list[str] = PEOPLE, seconds: float = 60) -> AsyncIterator[None]:
    """While the block runs, *names* start, some fast and some slow, so that it finds them at every stage.

    It ends when all are ready, and nothing is left over or doubled.
    """
    tasks = [asyncio.create_task(start(hub, name, number / 10)) for number, name in enumerate(names)]
    try:
        yield
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    await all_ready(hub, names, seconds)
    await five_checks(hub)
    assert len(hub.workloads()) == len(names)


async def some_ready(hub: Hub, number: int, seconds: float = 60) -> None:
    """Wait until as many servers are ready."""

    async def are_ready() -> bool:
        try:
            _, models = await hub.api("GET", "/users?state=ready")
        except (aiohttp.ClientError, TimeoutError):
            return False
        return isinstance(models, list) and len(models) >= number

    await eventually(are_ready, seconds, f"{number} servers ready")


async def killed(pid: int, seconds: float = 10) -> None:
    """Wait for the end of a process that was killed by us."""

    async def is_gone() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    await eventually(is_gone, seconds, f"the end of process {pid}")


async def pids(hub: Hub, names: Iterable[str]) -> dict[str, int]:
    """Of the stand-ins, as they answer at their public addresses."""
    answers = await asyncio.gather(*(hub.standin(name) for name in names))
    return {name: answer["pid"] if answer else 0 for name, answer in zip(names, answers, strict=True)}


class Faults:
    """Plans of `hubbub.faults`, one at a time; `environ` is for a hub that is to follow them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.environ = {"HUBBUB_FAULT": str(folder)}

    def arm(self, point: str, number: int = 1, how: str = "kill") -> None:
        """The process that comes to *point* for the *number*th time is struck."""
        self.disarm()
        unfinished = self._folder / "unfinished"
        unfinished.write_text(f"{point}:{number}:{how}")
        unfinished.rename(self._folder / "plan")

    def disarm(self) -> None:
        self._folder.mkdir(exist_ok=True)
        self._folder.chmod(0o777)  # services may be somebody else
        for path in self._folder.iterdir():
            path.unlink()

    @property
    def struck(self) -> int:
        """The process that was struck; 0 for none yet."""
        return next((int(path.suffix[1:]) for path in self._folder.glob("struck.*")), 0)


class without:  # noqa: N801 - reads as a preposition where it is used
    """While the block runs, a part of the hub is dead, and nobody starts it again."""

    def __init__(self, hub: Hub, name: str) -> None:
        self._hub = hub
        self._name = name

    async def __aenter__(self) -> None:
        victim = self._hub.pid(self._name)
        self._hub.put_down(self._name)
        await killed(victim)

    async def __aexit__(self, *_: object) -> None:
        self._hub.pick_up()
