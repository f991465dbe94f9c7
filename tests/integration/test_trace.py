"""One trace from the request to the answer, and in everything between: spans, events, log lines."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from stack import hub

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Collector:
    """A receiver of OTLP over HTTP: (service, span name, trace id, span id, parent id) of all it was sent."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, str, str, str, str]] = []
        self.grown = asyncio.Event()
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        sent = ExportTraceServiceRequest()
        sent.ParseFromString(await request.read())
        for resource in sent.resource_spans:
            names = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
                    self.spans.append((names["service.name"], span.name, *ids))
        self.grown.set()
        return web.Response()

    def services(self, trace: str) -> set[str]:
        return {span[0] for span in self.spans if span[2] == trace}


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    made = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


async def test_a_start_is_one_trace(tmp_path: Path, collector: Collector) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    async with hub(tmp_path / "data", environ=environ) as house:
        await house.user("ada")
        headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        status, _ = await house.api("POST", "/users/ada/server", headers=headers)
        assert status == 201

        everyone = {"hubbub-api", "hubbub-spawner-worker", "hubbub-proxy-sync"}
        async with asyncio.timeout(20):
            while not everyone <= collector.services(TRACE):
                collector.grown.clear()
                await collector.grown.wait()
        ours = [span for span in collector.spans if span[2] == TRACE]
        known = {span[3] for span in ours} | {"b7ad6b7169203331"}
        assert [span for span in ours if span[4] not in known and span[0] == "hubbub-api"] == []

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
            assert TRACE in (house.data / "log" / f"{name}.log").read_text(), name
