"""The hub itself, its routes and its end."""

from typing import Any

import pytest
from refusals import Refused, row_id
from stage import set_up
from targets import TARGETS, Target

from hubbub.testing.eventually import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

REFUSED = [
    Refused("PATCH /proxy", None, (400, ...)),
    Refused("PATCH /proxy", [1], (400, ...)),
    Refused("PATCH /proxy", "text", (400, ...)),
]


SHUTDOWN_REFUSED = [
    Refused("POST /shutdown", {"proxy": "yes"}, (400, ["proxy"])),
    Refused("POST /shutdown", {"servers": 2}, (400, ["servers"])),
    Refused("POST /shutdown", {"servers": None}, (400, ["servers"])),
]


@pytest.mark.parametrize("row", REFUSED, ids=row_id)
async def test_is_refused(target: Target, row: Refused) -> None:
    await row.hold(target)


async def test_info(target: Target) -> None:
    found = await target.done("GET", "/info")
    assert set(found) == {"version", "python", "sys_executable", "spawner", "authenticator"}
    assert found["version"] == "6.1.1"
    assert set(found["spawner"]) == set(found["authenticator"]) == {"class", "version"}
    assert found["spawner"]["class"].endswith("StandinSpawner")
    assert "Dummy" in found["authenticator"]["class"]


async def routes(target: Target) -> dict[str, Any]:
    """All of them, page by page."""
    found: dict[str, Any] = {}
    while page := await target.done("GET", f"/proxy?offset={len(found)}&limit=12"):
        found |= page
        if len(page) < 12:
            break
    return found


async def test_routes(target: Target) -> None:
    names = await set_up(target, "user", "server", "running")
    server = f"/user/{names['user']}/{names['server']}/"
    assert (await target.api("POST", f"/users/{names['user']}/servers/{names['server']}")).status == 201
    found = await routes(target)
    for routespec, data in {
        "/": {"hub": True},
        "/services/web/": {"service": "web"},
        f"/user/{names['user']}/": {"user": names["user"], "server_name": ""},
        server: {"user": names["user"], "server_name": names["server"]},
    }.items():
        route = found[routespec]
        assert set(route) == {"routespec", "target", "data"} and route["routespec"] == routespec
        assert route["data"] | data == route["data"]
        assert route["target"].startswith("http://")
    await target.api("DELETE", f"/users/{names['user']}/server")
    assert f"/user/{names['user']}/" not in await routes(target)


async def test_routes_are_checked_when_asked_for(target: Target) -> None:
    answer = await target.api("POST", "/proxy")
    assert (answer.status, answer.text) == (200, "")


async def test_the_proxy_may_be_said_to_be_where_it_is(target: Target) -> None:
    answer = await target.api("PATCH", "/proxy", {"unknown": 1})
    assert (answer.status, answer.text) == (200, "")


@pytest.mark.parametrize(
    ("path", "status", "location"),
    [
        ("", 302, "/hub/"),
        ("hub", 301, "/hub/"),
        ("hub/", 302, "/hub/login?next=%2Fhub%2F"),
        ("user/nobody/", 302, "/hub/user/nobody/"),
        ("user/nobody/tree?x=1", 302, "/hub/user/nobody/tree?x=1"),
        ("hub/user/nobody/", 302, "/hub/login?next=%2Fhub%2Fuser%2Fnobody%2F"),
        ("hub/nowhere", 404, None),
    ],
)
async def test_what_nobody_serves_is_the_hubs(target: Target, path: str, status: int, location: str | None) -> None:
    answer = await target.ask("GET", path)
    assert (answer.status, answer.headers.get("Location")) == (status, location)
    assert answer.headers["X-JupyterHub-Version"] == "6.1.1"


async def test_the_end(target: Target, tmp_path: Any) -> None:
    """A hub of its own, since it ends: also when it ends for a request that it had to refuse."""
    async with TARGETS[target.name](tmp_path / "data") as other:
        for row in SHUTDOWN_REFUSED:
            await row.hold(other)
        answer = await other.api("POST", "/shutdown", {"proxy": True, "servers": True})
        assert (answer.status, answer.json) == (202, {"message": "Shutting down Hub"})

        async def gone() -> bool:
            try:
                return (await other.ask("GET", "hub/api")).status != 200
            except OSError:
                return True

        await eventually(gone, 30)
