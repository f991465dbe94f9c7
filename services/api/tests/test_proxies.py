"""Proxies, as those see them who ask the API about them, and as their proxy-syncs do."""

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiohttp import ClientResponse
from traitlets.config import Config

from hubbub.config import Options
from hubbub.domain.message import NotFound
from hubbub.domain.proxy import JoinProxy, LoseProxy
from hubbub.domain.server_messages import DeleteServer, StopServer
from hubbub.route_messages import Compared, Corrected, Correction, Moved, Routed, RouteReport, WhereMoved
from hubbub.sealed_box import Box
from hubbub.testing.eventually import eventually
from hubbub.verify import verify
from hubbub.views import PROXIES, SERVERS
from hubbub_api.keys import COMPARISONS, MOVED
from hubbub_api.reports import ReportBook
from hubbub_api.testing import BY_TEST, LATER, Worker

THERE = "http://10.0.0.9:8001"
SECRET = "token-of-another-proxy"


@pytest.fixture
async def root(house) -> str:
    await house.person("root", admin=True)
    return await house.token("root")


@pytest.fixture
def reports(house) -> ReportBook:
    return Worker(house)._reports


async def joins(house, *proxies: str) -> None:
    for proxy in proxies:
        await house.committer.execute(PROXIES, proxy, JoinProxy(proxy=proxy), BY_TEST.follow())


async def tells(reports: ReportBook, proxy: str, message: Routed) -> None:
    await reports.routed(f"hub.rpc.routed.proxy.{proxy}", msgspec.json.encode(message))


async def events(house, proxy: str) -> list[tuple[str, dict[str, Any]]]:
    rows = await house.pool.fetch("select type, data from events where stream = $1 order by version", f"proxy-{proxy}")
    return [
        (row["type"], {name: value for name, value in msgspec.json.decode(row["data"]).items() if name != "type"})
        for row in rows
    ]


async def where(house, proxy: str) -> tuple[str, str, str]:
    """The id of its move, its address and its token, as its proxy-sync is told them."""
    box, subject = Box(), f"hub.rpc.moved.proxy.{proxy}"
    moved: Moved = await house.client.app[MOVED].where(subject, msgspec.json.encode(WhereMoved(key=box.key)))
    assert SECRET not in moved.sealed
    return moved.id, moved.api_url, box.open(moved.sealed, subject) if moved.sealed else ""


async def says(house, proxy: str, **said: Any) -> None:
    message = SimpleNamespace(subject=f"hub.compared.{proxy}", data=msgspec.json.encode(Compared(**said)))
    await house.client.app[COMPARISONS].hear(message)


async def patch(house, token: str, **body: str) -> ClientResponse:
    return await house.ask("/hub/api/proxy", token=token, method="PATCH", json=body)


async def moves(house, token: str, proxy: str, problem: str = "", /, **body: str) -> Any:
    """What is answered, when its proxy-sync says so."""
    before, _, _ = await where(house, proxy)
    asking = asyncio.create_task(patch(house, token, **body))

    async def told() -> str:
        id, _, _ = await where(house, proxy)
        return "" if id == before else id

    await says(house, proxy, id=await eventually(told), problem=problem)
    answer = await asking
    return answer.status, (await answer.json())["message"] if answer.status >= 400 else await answer.text()


# Moving ---------------------------------------------------------------------------------


async def test_a_proxy_is_moved_for_every_api_and_its_token_is_the_proxy_syncs_alone(house, colleague, root):
    await joins(house, "p1")
    assert await where(house, "p1") == ("", "", "")
    assert await moves(house, root, "p1", api_url=f"{THERE}/", auth_token=SECRET) == (200, "")
    assert (await where(colleague, "p1"))[1:] == (THERE, SECRET)
    assert await events(house, "p1") == [
        ("ProxyJoined", {"proxy": "p1"}),
        ("ProxyMoved", {"proxy": "p1", "api_url": THERE}),
    ]
    stored = await house.pool.fetchval("select string_agg(data || meta, ' ') from events")
    assert SECRET not in stored
    assert SECRET.encode() not in await house.pool.fetchval("select value from vault where key = 'proxy:p1'")


async def test_what_is_not_said_is_as_it_was(house, colleague, root):
    await joins(house, "p1")
    await moves(house, root, "p1", api_url=THERE)
    assert (await where(house, "p1"))[1:] == (THERE, "")
    await moves(colleague, root, "p1", auth_token=SECRET)
    await moves(house, root, "p1", api_url="http://10.0.0.10:8001")
    assert (await where(colleague, "p1"))[1:] == ("http://10.0.0.10:8001", SECRET)
    assert [data.get("api_url") for _, data in (await events(house, "p1"))[1:]] == [
        THERE,
        THERE,
        "http://10.0.0.10:8001",
    ]


async def test_a_key_that_was_lost_with_its_transaction_is_not_used(house, colleague, root):
    """It was made in this process, but stored by nobody."""
    await joins(house, "p1")

    async def fails(tx: Any) -> None:
        tx.welcome("proxy:p1")
        raise NotFound

    with pytest.raises(NotFound):
        await house.committer.submit(fails, BY_TEST.follow())
    await moves(colleague, root, "p1", api_url=THERE)
    await moves(house, root, "p1", auth_token=SECRET)
    assert (await where(colleague, "p1"))[1:] == (THERE, SECRET)


async def test_who_cannot_be_moved_is_where_it_was(house, root):
    await joins(house, "p1")
    refusal = "a proxy of the class X cannot be moved"
    assert await moves(house, root, "p1", refusal, api_url=THERE) == (400, refusal)
    assert await where(house, "p1") == ("", "", "")
    assert await moves(house, root, "p1", api_url=THERE, auth_token=SECRET) == (200, "")
    first, _, _ = await where(house, "p1")
    assert await moves(house, root, "p1", refusal, api_url="http://h:1") == (400, refusal)
    assert await where(house, "p1") == (first, THERE, SECRET)
    assert [type for type, _ in await events(house, "p1")] == ["ProxyJoined", *["ProxyMoved"] * 5]


async def test_of_several_one_is_named(house, root):
    await joins(house, "p1", "proxy%2etwo")
    answer = await patch(house, root, api_url=THERE)
    assert answer.status == 400
    assert (await answer.json())["message"] == (
        "There is more than one proxy: say by `proxy` which one of p1, proxy%2etwo"
    )
    answer = await patch(house, root, api_url=THERE, proxy="p3")
    assert (answer.status, "p1, proxy%2etwo" in (await answer.json())["message"]) == (404, True)
    for name in ("proxy.two", "proxy%2etwo"):
        await moves(house, root, "proxy%2etwo", api_url=f"{THERE}/{len(name)}", proxy=name)
        assert (await where(house, "proxy%2etwo"))[1] == f"{THERE}/{len(name)}"
    assert (await where(house, "p1"))[1] == ""
    # One that is lost is known all the same, and nobody means it without naming it.
    await house.committer.execute(PROXIES, "p1", LoseProxy(reason="silent"), BY_TEST.follow())
    await moves(house, root, "p1", api_url=THERE, proxy="p1")
    await moves(house, root, "proxy%2etwo", api_url=THERE)
    assert await house.pool.fetchval("select count(*) from proxies") == 1


async def test_before_any_has_joined_one_has_to_be_named(house, root):
    answer = await patch(house, root, api_url=THERE)
    assert (answer.status, "No proxy has joined" in (await answer.json())["message"]) == (400, True)
    await moves(house, root, "p9", api_url=THERE, proxy="p9")
    assert (await where(house, "p9"))[1] == THERE
    assert await house.pool.fetchval("select count(*) from proxies") == 0


@pytest.mark.parametrize(
    "body",
    [
        {"api_url": ""},
        {"api_url": "10.0.0.9:8001"},
        {"api_url": "ftp://10.0.0.9"},
        {"api_url": "http://"},
        {"api_url": "http://10.0.0.9:0"},
        {"api_url": "http://10.0.0.9:99999"},
        {"api_url": "http://me:secret@10.0.0.9"},
        {"api_url": "http://10.0.0.9/?x=1"},
        {"api_url": "http://10.0.0.9/#x"},
        {"api_url": "http://10.0.0.9/ x"},
        {"api_url": "http://10.0.0.9/\r\nX: y"},
        {"api_url": "http://h/" + "x" * 3000},
        {"api_url": THERE, "auth_token": ""},
        {"auth_token": "a b"},
        {"auth_token": "ü"},
        {"auth_token": "a\r\nX: y"},
    ],
    ids=str,
)
async def test_an_address_or_token_that_cannot_be_changes_nothing(house, root, body):
    await joins(house, "p1")
    assert (await patch(house, root, **body)).status == 400
    assert len(await events(house, "p1")) == 1


async def test_who_may_not_does_not(house, root):
    await joins(house, "p1")
    await house.person("ada")
    assert (await patch(house, await house.token("ada"), api_url=THERE)).status == 403
    assert (await patch(house, "", api_url=THERE)).status == 403
    assert len(await events(house, "p1")) == 1


async def test_where_it_is_already_nothing_moves(house, root, monkeypatch):
    await joins(house, "p1")
    await moves(house, root, "p1", api_url=THERE, auth_token=SECRET)
    before = await where(house, "p1")
    monkeypatch.setattr("hubbub_api.comparing.PATIENCE", 0.05)
    assert (await patch(house, root, api_url=THERE, auth_token=SECRET)).status == 200
    assert await where(house, "p1") == before


async def test_who_hears_nothing_answers_all_the_same(house, root, monkeypatch):
    monkeypatch.setattr("hubbub_api.comparing.PATIENCE", 0.05)
    await joins(house, "p1")
    assert (await patch(house, root, api_url=THERE)).status == 200
    for method, body in (("POST", None), ("PATCH", {"unknown": 1})):
        assert (await house.ask("/hub/api/proxy", token=root, method=method, json=body)).status == 200


async def test_a_move_that_is_sent_twice_with_one_key_is_one(house, root):
    await joins(house, "p1")
    key = {"Idempotency-Key": "k1"}
    asked = {"token": root, "method": "PATCH", "json": {"api_url": THERE}, "headers": key}
    first = asyncio.create_task(house.ask("/hub/api/proxy", **asked))

    async def told() -> str:
        return (await where(house, "p1"))[0]

    await says(house, "p1", id=await eventually(told))
    assert (await first).status == 200
    assert (await house.ask("/hub/api/proxy", **asked)).status == 200
    assert len(await events(house, "p1")) == 2


# Corrections ----------------------------------------------------------------------------

WRONG = Correction(spec="/user/ada/", server="s1", found="http://10.0.0.66:1", made="http://10.0.0.3:1")


async def test_what_was_corrected_is_in_the_log_once_and_names_nobody(house, reports, database, vault_key):
    await joins(house, "p1")
    message = Routed(corrected=Corrected(id="c1", reason="routes differ", count=3, routes=(WRONG,)))
    await asyncio.gather(*(tells(reports, "p1", message) for _ in range(3)))
    await tells(reports, "p1", message)
    corrected = {
        "proxy": "p1",
        "reason": "routes differ",
        "count": 3,
        "routes": [{"server": "s1", "found": "http://10.0.0.66:1", "made": "http://10.0.0.3:1"}],
    }
    assert await events(house, "p1") == [("ProxyJoined", {"proxy": "p1"}), ("RoutesCorrected", corrected)]
    await tells(reports, "p2", message)  # another proxy, which has not joined, may have the same
    await tells(reports, "p2", Routed(joined=True))
    assert [type for type, _ in await events(house, "p2")] == ["RoutesCorrected", "ProxyJoined"]
    assert await verify(database.owner_dsn, vault_key) == []


# Joining --------------------------------------------------------------------------------


def route(server: str, attempt: int = 1) -> RouteReport:
    return RouteReport(server=server, attempt=attempt, target="http://127.0.0.1:1")


async def test_one_that_is_back_has_what_it_says_and_nothing_that_it_once_had(house, reports, database, vault_key):
    """Nobody says that a route is gone which was gone when its proxy-sync began."""
    await house.person("ada")
    worker = Worker(house)
    servers = [(await worker.runs("ada", name))[0] for name in ("runs", "stopped", "removed", "stopping")]
    for server in servers:
        await tells(reports, "p1", Routed(routes=(route(server),)))
        await tells(reports, "p2", Routed(routes=(route(server),)))
    for owner in ("hub", "service:gone"):
        await tells(reports, "p1", Routed(routes=(route(owner, 0),)))
    await joins(house, "p1", "p2")
    for server in servers[1:3]:
        await worker.stops(server, resumes=False)
    await house.committer.execute(SERVERS, servers[2], DeleteServer(), BY_TEST.follow())
    await house.committer.execute(SERVERS, servers[3], StopServer(deadline=LATER), BY_TEST.follow())
    await tells(reports, "p1", Routed(joined=True))
    kept = await house.pool.fetch("select server from routes where proxy = 'p1'")
    assert {row["server"] for row in kept} == {servers[0], servers[3], "hub"}
    assert await house.pool.fetchval("select count(*) from routes where proxy = 'p2'") == 4
    assert await verify(database.owner_dsn, vault_key) == []


async def test_what_was_said_before_it_was_lost_does_not_make_it_count(house, reports):
    await tells(reports, "p1", Routed(joined=True, position=0))
    before = await house.pool.fetchval("select position from log_head")
    await house.committer.execute(PROXIES, "p1", LoseProxy(reason="silent"), BY_TEST.follow())
    lost = await house.pool.fetchval("select position from log_head")
    await tells(reports, "p1", Routed(joined=True, position=before))
    assert await house.pool.fetchval("select count(*) from proxies") == 0
    await tells(reports, "p1", Routed(corrected=Corrected(id="c", reason="x", count=1, routes=(WRONG,))))
    await tells(reports, "p1", Routed(joined=True, position=lost))
    assert await house.pool.fetchval("select count(*) from proxies") == 1
    await tells(reports, "p1", Routed(joined=True, position=before))  # it is, already
    assert [type for type, _ in await events(house, "p1")] == [
        "ProxyJoined",
        "ProxyLost",
        "RoutesCorrected",
        "ProxyJoined",
    ]


# GET /proxy ------------------------------------------------------------------------------


@pytest.fixture
def options() -> Options:
    said = {"JupyterHub": {"api_page_max_limit": 3}, "Proxy": {"extra_routes": {"/x/": "http://x", "/y/": "http://y"}}}
    return Options(Config(said))


async def test_each_route_is_listed_once_page_by_page(house, root, reports):
    await house.person("ada")
    server, _ = await Worker(house).runs("ada")
    assert await (await house.ask("/hub/api/proxy", token=root)).json() == {}
    for proxy in ("p1", "p2"):
        await tells(reports, proxy, Routed(routes=(route(server), route("hub", 0)), joined=True))
    lost = RouteReport(server="service:only-there", attempt=0, target="http://127.0.0.1:2")
    await tells(reports, "p3", Routed(routes=(lost,)))  # which has not joined

    async def page(offset: int, limit: int) -> dict[str, Any]:
        answer = await house.ask(f"/hub/api/proxy?offset={offset}&limit={limit}", token=root)
        found: dict[str, Any] = await answer.json()
        return found

    first = await page(0, 3)
    assert list(first) == ["/", "/user/ada/", "/x/"]
    assert [route["data"] for route in first.values()][1:] == [{"user": "ada", "server_name": ""}, {"extra": True}]
    assert list(await page(3, 3)) == ["/y/"]
    assert list(await page(1, 2)) == ["/user/ada/", "/x/"]
    assert await page(4, 3) == {}
    accept = {"Accept": "application/jupyterhub-pagination+json"}
    answer = await house.ask("/hub/api/proxy?limit=1&offset=9", token=root, headers=accept)
    assert (await answer.json())["_pagination"]["total"] == 4
