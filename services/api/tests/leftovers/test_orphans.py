"""GET, POST, DELETE /orphans, and /force-stop: what an administrator sees of earlier starts, and can do about it."""

import pytest

from hubbub.domain.server_messages import ForceStop, ReportResponded, StopServer
from hubbub.domain.server_states import Running, Started, Stopped
from hubbub_api import keys
from hubbub_api.testing import LATER


async def forced(worker, name: str = "") -> str:
    """A server of which nobody knows whether it has stopped."""
    server, _ = await worker.runs("ada", name)
    await worker.remembers(server, container="c1")
    await worker.wish(server, StopServer(deadline=LATER))
    await worker.wish(server, ForceStop())
    return str(server)


async def test_what_is_left_is_listed(crew, root):
    w1 = crew("w1")
    server = await forced(w1, "lab")
    await w1.takes()
    answer = await root("GET", "/orphans")
    assert answer.status == 200
    [orphan] = await answer.json()
    assert orphan.pop("since").endswith("Z")
    assert orphan == {
        "server": server, "user": "ada", "name": "lab", "attempt": 1, "host": "h1", "pool": "default", "reach": "pool",
        "reason": "an admin would not wait", "state": "stopped", "worker": "w1", "adoptable": True,
    }  # fmt: skip


async def test_it_is_listed_in_pages(crew, root):
    w1 = crew("w1")
    servers = [await forced(w1, name) for name in ("", "a", "b")]
    answer = await root("GET", "/orphans?limit=2&offset=1")
    assert [each["server"] for each in await answer.json()] == servers[1:]


async def test_it_is_no_business_of_anybody_else(crew, house):
    server = await forced(crew("w1"))
    secret = await house.token("ada")
    for method, path in (
        ("GET", "/orphans"),
        ("POST", f"/orphans/{server}/1"),
        ("DELETE", f"/orphans/{server}/1"),
        ("POST", "/users/ada/server/force-stop"),
    ):
        answer = await house.ask(f"/hub/api{path}", token=secret, method=method, json={"action": "remove"})
        assert answer.status in (403, 404), path
    assert len((await crew("w1").state(server)).leftovers) == 1


@pytest.mark.parametrize(
    ("method", "body"), [("POST", {"action": "adopt"}), ("POST", {"action": "remove"}), ("DELETE", None)]
)
@pytest.mark.parametrize("attempt", ["2", "x", "9" * 30, "-1"])
async def test_what_is_not_left_is_not_found(crew, root, method, body, attempt):
    server = await forced(crew("w1"))
    assert (await root(method, f"/orphans/{server}/{attempt}", body)).status == 404
    assert (await root(method, "/orphans/nobody/1", body)).status == 404


async def test_it_can_be_the_server_again(crew, root, opened):
    w1, w2 = crew("w1"), crew("w2")
    server = await forced(w1)
    token = (await w1.state(server)).leftovers[0].token
    assert (await root("POST", f"/orphans/{server}/1", {"action": "adopt"})).status == 202
    assert await w1.vault() == {f"state:{server}"}
    [found] = (await w2.takes()).inherited
    assert isinstance(found.state, Started)
    assert (found.state.token, found.state.prefix, found.state.url) == (token, "/user/ada/", "http://127.0.0.1:1")
    assert opened(found.spec)["state"] == {"container": "c1"}
    answer = await w2.reports(server, ReportResponded(attempt=1, worker="?", deadline=LATER))
    assert isinstance(answer.state, Running)
    assert (await root("POST", f"/orphans/{server}/1", {"action": "adopt"})).status == 404


async def test_it_cannot_be_the_server_again_when_another_start_counts(crew, root):
    w1 = crew("w1")
    server = await forced(w1)
    await w1.asks("ada")
    answer = await root("POST", f"/orphans/{server}/1", {"action": "adopt"})
    assert answer.status == 400
    assert "a later start counts" in (await answer.json())["message"]


async def test_a_process_cannot_be_the_server_again(crew, root):
    server = await forced(crew("w1", reach="process"))
    assert (await root("POST", f"/orphans/{server}/1", {"action": "adopt"})).status == 400


async def test_it_can_be_tried_again_at_once(crew, root, house):
    w1, w2 = crew("w1"), crew("w2")
    house.client.server.app._state[keys.BUS] = w1.words
    server = await forced(w1)
    await w1.takes()
    assert (await w2.takes()).leftovers == ()
    assert (await root("POST", f"/orphans/{server}/1", {"action": "remove"})).status == 202
    assert w1.words.subjects == ["hub.ticket.pool.default"]
    assert [job.server for job in (await w2.takes()).leftovers] == [server]


async def test_it_can_be_forgotten(crew, root):
    w1 = crew("w1")
    server = await forced(w1)
    await w1.takes()
    assert (await root("DELETE", f"/orphans/{server}/1")).status == 204
    assert (await root("DELETE", f"/orphans/{server}/1")).status == 404
    assert await (await root("GET", "/orphans")).json() == []
    assert await w1.vault() == set()
    await w1.asks("ada")
    assert len((await w1.takes(starts=1)).specs) == 1


async def test_an_administrator_need_not_wait_for_a_stop(crew, root):
    w1 = crew("w1")
    server, _ = await w1.runs("ada", "lab")
    path = "/users/ada/servers/lab/force-stop"
    answer = await root("POST", path)
    assert (answer.status, (await answer.json())["message"]) == (400, "not stopping")
    await w1.wish(server, StopServer(deadline=LATER))
    assert (await root("POST", path)).status == 204
    assert (await root("POST", path)).status == 204
    state = await w1.state(server)
    assert isinstance(state, Stopped)
    assert len(state.leftovers) == 1
    assert (await root("POST", "/users/ada/servers/den/force-stop")).status == 404
