"""Nonsense, sent with the right credentials: it is refused, nothing changes, nobody crashes."""

import json

import pytest
from yarl import URL

from burst import settle_in, start
from checks import five_checks, rows
from stack import TOKEN, Hub
from wiretap import as_user

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORKER, PROXY, POLLER = "default.spawner-worker-1", "proxy.proxy-sync-1", "poller.poller-1"

UNREADABLE = [
    b"",
    b"nonsense",
    b"\xff\xfe\x00",
    b"null",
    b"[]",
    b"[" * 20_000,
    b"{}",
    b'{"reports": 7, "hashes": {}, "server": [], "name": 3, "routes": "x", "found": 1, "lost": {}}',
    b'{"reports": [{"server": "x", "report": {"type": "NoSuchReport"}}]}',
    b'{"routes": [{"server": "x"}], "servers": [1], "seconds": "soon", "host": 1}',
]

#: By verb: what can be read and means nothing.
MEANINGLESS = {
    f"claim.{WORKER}": [{"host": "nowhere", "hashes": []}, {"host": "\u0000", "hashes": []}],
    "hello.default.nobody": [
        {"host": "nowhere", "found": [{"server": "unknown", "attempt": 1}, {"server": "", "attempt": -1}]},
        {"host": "nowhere", "options": {"no-such-option": "x"}},
    ],
    "holdings.default.nobody": [{}],
    f"auth_state.{WORKER}": [
        {"server": "unknown", "attempt": 1, "sealed": "x"},
        {"server": "", "attempt": -1, "sealed": ""},
    ],
    f"routes.{PROXY}": [{"servers": ["unknown"]}, {"after": "zzzz"}, {"after": "\u0000"}],
    f"routed.{PROXY}": [
        {"routes": [{"server": "unknown", "attempt": 1, "target": "http://127.0.0.1:1"}]},
        {"routes": [{"server": "unknown", "attempt": 1, "target": None}]},
        {"routes": [{"server": "\u0000", "attempt": 1, "target": "x"}]},
    ],
    f"lease.{POLLER}": [{"name": "", "seconds": -1}, {"name": "\u0000", "seconds": 1e300}],
    f"sweep.{POLLER}": [{"lost": ["nobody"], "gone": ["nobody"], "lost_proxies": ["nobody"]}, {"lost": ["\u0000"]}],
    f"activity.{POLLER}": [{"routes": {"/no/where/": "2026-01-01T00:00:00Z", "\u0000": "9999-12-31T23:59:59Z"}}],
    f"nosuchverb.{WORKER}": [{}],
}

USERS = {"default": "pool-default", "proxy": "proxy-sync", "poller": "poller"}


def reports(server: str, attempt: int) -> list[dict[str, object]]:
    """Each that a worker can make."""
    common = {"attempt": attempt, "worker": "spawner-worker-1"}
    deadline = {"deadline": "2026-01-01T00:00:00Z"}
    failure = {"failure": {"reason": "error", "message": "no"}}
    each: list[dict[str, object]] = [
        {"type": "ReportState", **common},
        {"type": "ReportStarted", "url": "http://127.0.0.1:1", **common, **deadline},
        {"type": "ReportResponded", **common, **deadline},
        {"type": "ReportScopes", "token": ["inherit"], "browsers": ["nonsense"], **common},
        {"type": "ReportMoved", "url": "http://127.0.0.1:1", **common},
        {"type": "ReportFailed", **failure, **common, **deadline},
        {"type": "ReportExit", "status": "1", **common, **deadline},
        {"type": "ReportFound", "host": "h", "url": "http://127.0.0.1:1", **common, **deadline},
    ]
    return [{"server": server, "report": report, "seconds": 1e300} for report in each]


async def head(it: Hub) -> int:
    [row] = await rows(it, "select position from log_head")
    return int(row[0])


async def test_nonsense_changes_nothing(shared_house: Hub):
    it = shared_house
    await settle_in(it, ["ada"])
    await start(it, "ada")
    await five_checks(it)
    [server] = await rows(it, "select id, attempt from servers")
    before = (await head(it), it.services(), [process.pid for process in it.workloads()])

    for verb in MEANINGLESS:
        for payload in UNREADABLE:
            await _say(it, verb, payload)
    for verb, messages in MEANINGLESS.items():
        for message in messages:
            await _say(it, verb, json.dumps(message).encode())
    for id, attempt in [
        ("unknown", 1),
        ("", 1),
        ("\u0000", 1),
        (server["id"], server["attempt"] + 1),
        (server["id"], 0),
        (server["id"], -(2**62)),
    ]:
        for report in reports(id, attempt):
            await _say(it, f"report.{WORKER}", json.dumps({"reports": [report]}).encode())
    # What another worker says of it counts no more.
    for report in reports(server["id"], server["attempt"])[:-1]:
        await _say(it, "report.default.nobody", json.dumps({"reports": [report]}).encode())
    await _signals(it, server["id"])

    await five_checks(it)
    assert (await head(it), it.services(), [process.pid for process in it.workloads()]) == before
    await settle_in(it, ["bea"])
    await start(it, "bea")
    await five_checks(it)


async def _say(it: Hub, verb: str, payload: bytes) -> None:
    """Somebody answers, whatever it is."""
    async with as_user(it, USERS[verb.split(".")[1]]) as client:
        if verb.startswith("nosuchverb"):
            await client.publish(f"hub.rpc.{verb}", payload)
            await client.flush()
        else:
            answer = await client.request(f"hub.rpc.{verb}", payload, timeout=5)
            assert answer.data or (answer.headers or {}).get("error"), (verb, payload[:100])


async def _signals(it: Hub, server: str) -> None:
    """What nobody answers: tickets, words to holders, heartbeats, events."""
    nonsense = [*UNREADABLE, b'{"server": "unknown", "attempt": 7, "verb": "changed"}', b'{"verb": "dance"}']
    async with as_user(it, "api") as client:
        for payload in [*nonsense, json.dumps({"server": server, "attempt": 99}).encode()]:
            for subject in (
                "hub.ticket.pool.default",
                "hub.ticket.pool.nowhere",
                "hub.holder.spawner-worker-1",
                "hub.form.default",
                "hub.heartbeat.log",
                f"hub.event.server.{server}",
                "hub.event.nonsense",
            ):
                headers = {"Nats-Msg-Id": "nonsense", "type": "ServerStopped"} if "event" in subject else None
                await client.publish(subject, payload, headers=headers)
        await client.flush()
    async with as_user(it, "pool-default") as client:
        for payload in nonsense:
            await client.publish("hub.heartbeat.spawner-worker.spawner-worker-1", payload)
            await client.publish("hub.heartbeat.spawner-worker.nobody", payload)
            await client.publish(f"hub.progress.{server}.1", payload)
        await client.flush()
    async with as_user(it, "proxy-sync") as client:
        for payload in nonsense:
            await client.publish("hub.activity", payload)
            await client.publish("hub.heartbeat.proxy-sync.proxy-sync-1", payload)
        await client.flush()
    async with as_user(it, "poller") as client:
        for payload in nonsense:
            await client.publish("hub.liveness.spawner-worker.spawner-worker-1", payload)
        await client.flush()


async def test_a_zero_byte_in_an_address_is_a_bad_request(shared_house: Hub):
    """Postgres has no such character, and nobody is asked."""
    for path in ("/users/a%00b", "/users/ada/servers/x%00", "/users?name_filter=%00", "/authorizations/token/%00"):
        place = URL(f"{shared_house.url}hub/api{path}", encoded=True)
        async with shared_house.session.get(place, headers={"Authorization": f"token {TOKEN}"}) as response:
            assert response.status == 400, path
    async with shared_house.session.get(URL(f"{shared_house.url}hub/user/a%00", encoded=True)) as response:
        assert response.status == 400
