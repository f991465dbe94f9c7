"""A receiver of OTLP over HTTP, for tests, and what its spans say."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent

from stack import here


@dataclass(frozen=True, kw_only=True)
class Span:
    """`began`, `seconds`: of the clock of whoever made it. `kind`: SERVER, CLIENT, ..."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    began: float
    seconds: float
    failed: bool
    attributes: dict[str, str | int | float | bool] = field(default_factory=dict)


class Collector:
    """`spans`: all that was sent, `bodies`: as it was sent; `grown` is set when there is more."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.bodies: list[bytes] = []
        self.grown = asyncio.Event()
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        sent = ExportTraceServiceRequest()
        sent.ParseFromString(self.bodies[-1])
        for resource in sent.resource_spans:
            names = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [_span(names["service.name"], span) for span in scope.spans]
        self.grown.set()
        return web.Response()

    def of(self, trace: str) -> list[Span]:
        """In the order in which they began."""
        return sorted((span for span in self.spans if span.trace == trace), key=lambda span: span.began)

    async def until(self, trace: str, services: set[str], root: str, seconds: float = 20) -> list[Span]:
        """The spans of *trace*, when every one of *services* had a part in it, and each has a parent that is known.

        A span is sent once it has ended, and each process sends on its own: a parent comes after its children.
        """
        async with asyncio.timeout(seconds):
            while True:
                found = self.of(trace)
                known = {span.id for span in found} | {root}
                if {span.service for span in found} >= services and all(span.parent in known for span in found):
                    return found
                self.grown.clear()
                await self.grown.wait()


def _span(service: str, span: Sent) -> Span:
    values = {each.key: each.value for each in span.attributes}
    return Span(
        service=service,
        name=span.name,
        kind=Sent.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        began=span.start_time_unix_nano / 1e9,
        seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        failed=span.status.code == 2,
        attributes={key: getattr(value, value.WhichOneof("value")) for key, value in values.items()},
    )


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    made = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, here(), 0)
    await site.start()
    made.url = f"http://{here()}:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()


def drawn(spans: list[Span]) -> str:
    """As a tree, with when each began and how long it took, in milliseconds."""
    known = {span.id for span in spans}
    lines: list[str] = []

    def draw(span: Span, depth: int) -> None:
        at = (span.began - spans[0].began) * 1e3
        lines.append(
            f"{at:8.1f} {span.seconds * 1e3:8.1f}  {'  ' * depth}{span.service.removeprefix('hubbub-')}: {span.name}"
        )
        for child in spans:
            if child.parent == span.id:
                draw(child, depth + 1)

    for span in spans:
        if span.parent not in known:
            draw(span, 0)
    return "\n".join(lines)
