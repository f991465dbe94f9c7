"""People who work while the house is restarted below them: through WebSockets, with the API and pages, and by starts.

Nobody asks again and nobody forgives: whatever is cut off or answered with a 5xx is written down.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from browser import Browser
from checks import all_ready, five_checks
from stack import TOKEN, Hub, eventually

PASSWORD = "password-of-everyone"
#: Seconds between a person's words over a WebSocket, and until an answer counts as none.
WORDS, PATIENCE = 0.5, 30.0
#: Seconds that servers take to listen, one after the other.
DELAYS = (0.0, 3.0, 1.0, 6.0)
_GONE = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


@dataclass
class Work:
    """What was done, and what failed; `slowest`: seconds of the slowest of each kind."""

    done: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    slowest: dict[str, float] = field(default_factory=dict)
    restarted: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def note(self, kind: str, seconds: float) -> None:
        self.done[kind] += 1
        self.slowest[kind] = max(seconds, self.slowest.get(kind, 0.0))


class Crowd:
    """*people* have servers; others start theirs, one a *pause* in seconds. *name*: what all are called."""

    def __init__(self, hub: Hub, people: int, *, pause: float = 1.0, name: str = "person") -> None:
        self.hub = hub
        self.people = [f"{name}-{number:02}" for number in range(people)]
        self.others = [f"other-{name}-{number:02}" for number in range(40)]
        self.work = Work()
        self._pause = pause
        self._over = asyncio.Event()
        self._starts: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Work]:
        """While the block runs; at its end all that was begun is finished."""
        for name in (*self.people, *self.others):
            await self.hub.user(name)
        await asyncio.gather(*(self._bring_up(name) for name in self.people))
        await all_ready(self.hub, self.people, 120)
        began = time.monotonic()
        async with AsyncExitStack() as stack:
            browser = await stack.enter_async_context(Browser(self.hub.url))
            status, page = await browser.login(self.people[0], PASSWORD)
            assert status == 200, page
            tasks = [asyncio.create_task(self._talk(name)) for name in self.people]
            tasks += [
                asyncio.create_task(self._again("api", 0.1, self._ask)),
                asyncio.create_task(self._again("page", 0.2, lambda: self._look(browser))),
                asyncio.create_task(self._again("log", 0.5, lambda: self._read(browser))),
                asyncio.create_task(self._again("login", 0.5, self._log_in)),
                asyncio.create_task(self._again("server", 0.1, self._visit)),
                asyncio.create_task(self._start_one_after_another()),
            ]
            try:
                yield self.work
                self._over.set()
                await asyncio.gather(*tasks)
                await asyncio.gather(*self._starts)
            finally:
                for task in (*tasks, *self._starts):
                    task.cancel()
                await asyncio.gather(*tasks, *self._starts, return_exceptions=True)
        self.work.seconds = time.monotonic() - began

    async def settle(self) -> None:
        """The five checks, and that all who worked have the server that they had."""
        await five_checks(self.hub)
        await all_ready(self.hub, self.people, 10)

    async def _bring_up(self, name: str) -> None:
        status, body = await self.hub.api("POST", f"/users/{name}/server")
        assert status in (201, 202) or "already running" in str(body), (name, status, body)

    async def _talk(self, name: str) -> None:
        """Over one connection from beginning to end."""
        headers = {"Authorization": f"token {TOKEN}"}
        async with self.hub.session.ws_connect(f"{self.hub.url}user/{name}/_ws", headers=headers) as socket:
            word = 0
            while not self._over.is_set():
                word += 1
                began = time.monotonic()
                await socket.send_str(f"{name} {word}")
                try:
                    answer = await socket.receive(PATIENCE)
                except TimeoutError:
                    self.work.failed.append(f"websocket of {name}: no answer")
                    return
                if answer.type in _GONE:
                    self.work.failed.append(f"websocket of {name}: {answer.type.name} {answer.data}")
                    return
                if answer.data != f"{name} {word}":
                    self.work.failed.append(f"websocket of {name}: {answer.data!r} for word {word}")
                self.work.note("websocket", time.monotonic() - began)
                await self._wait(WORDS)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            return

    async def _again(self, kind: str, pause: float, once: Callable[[], Awaitable[str]]) -> None:
        """*once* says what went wrong, if anything did."""
        while not self._over.is_set():
            began = time.monotonic()
            try:
                wrong = await once()
            except (aiohttp.ClientError, TimeoutError, OSError, AssertionError, ValueError) as error:
                wrong = repr(error)
            if wrong:
                self.work.failed.append(f"{kind} at {time.monotonic():.1f}: {wrong[:300]}")
            self.work.note(kind, time.monotonic() - began)
            await self._wait(pause)

    async def _ask(self) -> str:
        status, body = await self.hub.api("GET", f"/users/{self.people[0]}")
        return "" if status == 200 else f"{status} {body}"

    async def _look(self, browser: Browser) -> str:
        async with browser.session.get(f"{self.hub.url}hub/home") as response:
            text = await response.text()
            return "" if response.status == 200 and self.people[0] in text else f"{response.status} {response.url}"

    async def _read(self, browser: Browser) -> str:
        """What their server has printed, which its worker knows."""
        headers = {"Sec-Fetch-Mode": "cors", **browser.xsrf()}
        place = f"{self.hub.url}hub/api/users/{self.people[0]}/server/log"
        async with browser.session.get(place, headers=headers) as response:
            return "" if response.status == 200 else f"{response.status} {await response.text()}"

    async def _log_in(self) -> str:
        async with Browser(self.hub.url) as browser:
            status, _ = await browser.login(self.people[1], PASSWORD)
            return "" if status == 200 and browser.url.path == f"/user/{self.people[1]}/" else f"{status} {browser.url}"

    async def _visit(self) -> str:
        """A new connection to a server that has been there all the time."""
        answer = await self.hub.standin(self.people[-1])
        return "" if answer else "no answer"

    async def _start_one_after_another(self) -> None:
        number = 0
        while not self._over.is_set():
            name = self.others[number % len(self.others)]
            self._starts.add(asyncio.create_task(self._start_and_stop(name, DELAYS[number % len(DELAYS)])))
            number += 1
            await self._wait(self._pause)

    async def _start_and_stop(self, name: str, delay: float) -> None:
        began = time.monotonic()
        try:
            status, body = await self.hub.api("POST", f"/users/{name}/server", {"user_options": {"delay": delay}})
            if status not in (201, 202):
                self.work.failed.append(f"start of {name}: {status} {body}")
                return
            await eventually(lambda: self._is_there(name), 45, f"{name} ready")
            self.work.note("start", time.monotonic() - began - delay)
            status, body = await self.hub.api("DELETE", f"/users/{name}/server")
            if status not in (202, 204):
                self.work.failed.append(f"stop of {name}: {status} {body}")
        except (aiohttp.ClientError, TimeoutError, OSError, AssertionError) as error:
            self.work.failed.append(f"start of {name} after {time.monotonic() - began:.1f} s: {error!r}")

    async def _is_there(self, name: str) -> bool:
        status, model = await self.hub.api("GET", f"/users/{name}")
        if status != 200:
            self.work.failed.append(f"look at {name}: {status} {model}")
        return bool(model["servers"].get("", {}).get("ready"))


def told(output: str) -> dict[str, float]:
    """The children that `hubbub restart` has restarted, and how long each was missing."""
    found = {}
    for line in output.splitlines():
        name, colon, rest = line.partition(": restarted")
        if colon:
            found[name] = float(rest.split()[1]) if rest else 0.0
    return found
