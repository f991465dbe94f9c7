"""One trace from the request to the answer, and in everything between: spans, events, log lines."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from spans import Collector, collecting, drawn
from stack import TOKEN, Hub, eventually, hub

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRACE = "0af7651916cd43dd8448eb211c80319c"
OTHER = "1bf7651916cd43dd8448eb211c80319d"
CALLER = "b7ad6b7169203331"
EVERYONE = {"hubbub-api", "hubbub-spawner-worker", "hubbub-proxy-sync"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(collector: Collector, tmp_path_factory) -> AsyncIterator[Hub]:
    folder: Path = tmp_path_factory.mktemp("trace")
    async with hub(folder / "data", environ={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}) as made:
        await made.user("ada")
        yield made


async def test_a_start_is_one_trace(house: Hub, collector: Collector) -> None:
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
    status, _ = await house.api("POST", "/users/ada/server", headers=headers)
    assert status == 201
    spans = await collector.until(TRACE, EVERYONE, CALLER)

    if wanted := os.environ.get("HUBBUB_TRACE"):  # docs/traces.md
        await asyncio.to_thread(Path(wanted).write_text, drawn(spans) + "\n")
    connection = await asyncpg.connect(house.running()["owner_dsn"])
    rows = await connection.fetch("select type, meta from events where meta like $1", f"%{TRACE}%")
    await connection.close()
    assert {
        "ServerCreated",
        "SpawnRequested",
        "AttemptClaimed",
        "TokenIssued",
        "ServerStarted",
        "ServerResponded",
        "RouteAdded",
    } <= {row["type"] for row in rows}
    assert all(json.loads(row["meta"])["actor"] for row in rows)
    for name in ("api-1", "spawner-worker-1", "proxy-sync-1"):

        async def is_said(log: Path = house.data / "log" / f"{name}.log") -> bool:
            return TRACE in await asyncio.to_thread(log.read_text)

        await eventually(is_said, 5, f"the trace in the log of {name}")

    # HTTP, SQL, bus, spawner and proxy are all there, and say what OpenTelemetry's conventions have words for.
    [request] = [span for span in spans if span.parent == CALLER]
    assert (request.kind, request.attributes["http.response.status_code"]) == ("SERVER", 201)
    assert request.attributes["http.route"] == "/hub/api/users/{user}/server"
    statements = [span for span in spans if span.name.startswith("postgres ")]
    assert statements and all(span.attributes["db.system.name"] == "postgresql" for span in statements)
    names = {span.name for span in spans}
    assert {"log.batch", "relay.publish", "worker.StartProcess", "proxy.change"} <= names


async def test_nobody_is_named_and_no_value_is_shown(house: Hub, collector: Collector) -> None:
    await collector.until(TRACE, EVERYONE, CALLER)
    shown = " ".join(f"{span.name} {span.attributes}" for span in collector.spans)
    assert "select" in shown
    for private in ("ada", TOKEN, json.loads((house.store / "secrets.json").read_text())["bus_key"]):
        assert private not in shown


async def test_who_says_that_a_trace_is_not_kept_is_believed(house: Hub, collector: Collector) -> None:
    status, _ = await house.api("GET", "/users/ada", headers={"traceparent": f"00-{OTHER}-{CALLER}-00"})
    assert status == 200
    later = OTHER.replace("1", "2")
    await house.api("GET", "/users/ada", headers={"traceparent": f"00-{later}-{CALLER}-01"})
    await collector.until(later, {"hubbub-api"}, CALLER)
    assert collector.of(OTHER) == []


async def test_what_is_no_traceparent_begins_a_trace(house: Hub, collector: Collector) -> None:
    bad = "00-<script>alert(1)</script>xxxxxxx-b7ad6b7169203331-01"
    known = len(collector.spans)
    status, _ = await house.api("POST", "/users/eve", headers={"traceparent": bad})
    assert status == 201
    connection = await asyncpg.connect(house.running()["owner_dsn"])
    metas = await connection.fetch("select meta from events where type = 'UserCreated'")
    await connection.close()
    assert not [row for row in metas if "script" in row["meta"]]
    trace = json.loads(metas[-1]["meta"])["traceparent"][3:35]
    await collector.until(trace, {"hubbub-api"}, "")
    assert len(collector.spans) > known
