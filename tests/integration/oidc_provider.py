"""A real OpenID Connect provider, as a process: whoever comes says who they are, and denies it or not."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.request import Request, urlopen

from browser import Browser
from login_suite import CAST, WRONG, Kind

PROGRAM = Path(sys.executable).parent / "oidc-provider-mock"


class Provider:
    """`issuer`: its address. By name, because OAuth wants TLS of all hosts that are not called localhost."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer

    def claims(self, name: str, groups: list[str]) -> None:
        """What it tells of somebody from now on."""
        told = {"groups": groups, "email": f"{name}@example.org", "preferred_username": name}
        self._ask("PUT", f"/users/{name}", json.dumps(told).encode())

    def revoke(self, name: str) -> None:
        """All that somebody has been given is worth nothing any more."""
        self._ask("POST", f"/users/{name}/revoke-tokens", b"")

    def _ask(self, method: str, path: str, body: bytes) -> None:
        request = Request(f"{self.issuer}{path}", body, {"Content-Type": "application/json"}, method=method)
        with urlopen(request, timeout=10) as response:
            assert response.status < 300


def known(made: Provider, names: Iterable[str]) -> None:
    """These people, who are in no group, but for gus."""
    for name in names:
        made.claims(name, ["crew", "staff"] if name == "gus" else [])


async def to_the_provider(browser: Browser, path: str) -> str:
    """By way of the link on the login page."""
    status, page = await browser.get(path)
    assert status == 200, page
    status, page = await browser.follow(page, r"(Sign|Log) in with")
    assert (status, browser.url.host) == (200, "localhost"), page
    return page


async def say_who(browser: Browser, page: str, name: str, password: str) -> tuple[int, str]:
    """Fill in the page, and follow the way back to the hub. Who has the wrong password thinks better of it."""
    return await browser.send(page, {"action": "deny"} if password == WRONG else {"sub": name})


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    process = await asyncio.create_subprocess_exec(
        str(PROGRAM),
        "--port",
        "0",
        "--host",
        "localhost",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    said: list[str] = []
    try:
        async with asyncio.timeout(30):
            async for line in process.stdout:
                said.append(line.decode())
                if found := re.search(r"running on http://[^:]+:(\d+)", said[-1]):
                    break
            else:
                raise AssertionError("".join(said))
        reading = asyncio.ensure_future(process.stdout.read())
        yield Provider(f"http://localhost:{found[1]}")
        reading.cancel()
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def at_provider(config: str) -> AsyncIterator[Kind]:
    """Logins at one of its own, of those in the suite. *config*: with `{issuer}`."""
    async with provider() as made:
        known(made, (*CAST, "nobody"))
        yield Kind(
            config=config.format(issuer=made.issuer),
            begin=to_the_provider,
            finish=say_who,
            refused=(400, 403),
            revoke=lambda _, name: made.revoke(name),
            regroup=lambda _, name, groups: made.claims(name, groups),
        )
