"""One trace from a person's click to the answer: ids always, spans exported when an endpoint is set.

What is exported, and which traces are, is said by OpenTelemetry's own variables (docs/traces.md). Names and attributes
are those of its semantic conventions where it has any. No name of a person, no argument of a statement is in a span.
"""

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import structlog

Kind: TypeAlias = Literal["internal", "server", "client", "producer", "consumer"]

_current: ContextVar[str] = ContextVar("traceparent", default="")
_tracer: Any = None
_provider: Any = None

#: W3C Trace Context, version 00. Whoever sends something else begins a trace of their own.
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_LONGEST_STATEMENT = 500
_DEED = re.compile(r"\b(insert into|update(?! set)|delete from|from(?! [a-z_.]+ ?\()) ([a-z_.]+)", re.IGNORECASE)


def traceparent() -> str:
    """The W3C traceparent of what is being done now; a new trace if nothing is."""
    return _current.get() or f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def trace_id() -> str:
    return _current.get()[3:35]


def sampled_id(of: str = "") -> str:
    """The id of the trace *of* (a traceparent; the current one) if it is kept somewhere, else "": what an exemplar may
    lead to.
    """
    found = of or _current.get()
    return found[3:35] if _tracer is not None and found.endswith("1") else ""


@contextmanager
def span(name: str, parent: str = "", kind: Kind = "internal", **attributes: Any) -> Iterator[str]:
    """Do something as one step of a trace: of *parent* (a traceparent), else of the current one.

    Yields the traceparent to hand on. Without an exporter this costs a few microseconds.
    """
    above = (parent if _TRACEPARENT.fullmatch(parent) else "") or _current.get()
    if _tracer is None:
        trace, flags = (above[3:35], above[53:]) if above else (secrets.token_hex(16), "01")
        token = _current.set(f"00-{trace}-{secrets.token_hex(8)}-{flags}")
        try:
            yield _current.get()
        finally:
            _current.reset(token)
        return
    from opentelemetry import trace as otel

    with _tracer.start_as_current_span(
        name, context=_context(above), kind=otel.SpanKind[kind.upper()], attributes=_plain(attributes)
    ) as active:
        ids = active.get_span_context()
        token = _current.set(f"00-{ids.trace_id:032x}-{ids.span_id:016x}-{ids.trace_flags:02x}")
        try:
            yield _current.get()
        finally:
            _current.reset(token)


def note(*, failed: str = "", **attributes: Any) -> None:
    """Say of the current span what was not known at its beginning; *failed*: that it went wrong, and how."""
    if _tracer is None:
        return
    from opentelemetry import trace as otel

    active = otel.get_current_span()
    active.set_attributes(_plain(attributes))
    if failed:
        active.set_status(otel.Status(otel.StatusCode.ERROR, failed))


def note_answer(method: str, route: str, status: int) -> None:
    """The same of a request over HTTP that was answered."""
    if _tracer is not None:
        known = {"http.request.method": method, "http.route": route, "http.response.status_code": status}
        note(failed=str(status) if status >= 500 else "", **known)


def watch(connection: Any) -> None:
    """Make a span of each statement that this connection of asyncpg's runs for a trace; nothing without an exporter."""
    if _tracer is not None:
        connection.add_query_logger(_statement)


def _statement(record: Any) -> None:
    """A statement that has ended (an asyncpg `LoggedQuery`): its text has places for values, which stay out."""
    if not (above := _current.get()):
        return  # nobody's: a follower that waits, say
    ended = time.time_ns()
    name, text = _named(record.query)
    from opentelemetry import trace as otel

    made = _tracer.start_span(
        name,
        context=_context(above),
        kind=otel.SpanKind.CLIENT,
        attributes={"db.system.name": "postgresql", "db.query.text": text},
        start_time=ended - int(record.elapsed * 1e9),
    )
    if record.exception is not None:
        made.set_status(otel.Status(otel.StatusCode.ERROR, type(record.exception).__name__))
    made.end(ended)


@lru_cache(1000)
def _named(query: str) -> tuple[str, str]:
    """A name of what the statement does first, and to which table; and its text, not too long."""
    text = " ".join(query.split())
    found = _DEED.search(text)
    deed = f"{found[1].split()[0].lower()} {found[2]}" if found else text.partition(" ")[0].strip(";").lower()
    return f"postgres {deed.replace('from ', 'select ', 1)}", text[:_LONGEST_STATEMENT]


def _context(above: str) -> Any:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": above}) if above else None


def start(service: str, instance: str) -> None:
    """Export spans by OTLP over HTTP if an endpoint is set; which traces, OTEL_TRACES_SAMPLER says (all)."""
    global _tracer, _provider  # noqa: PLW0603 - one exporter a process, set once at its start
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from hubbub import __version__

    about = {
        "service.namespace": "hubbub",
        "service.name": f"hubbub-{service}",
        "service.instance.id": instance,
        "service.version": __version__,
    }
    _provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=5), schedule_delay_millis=1000))
    _tracer = _provider.get_tracer("hubbub", __version__)


def end() -> None:
    """Send what is left, for five seconds at most: the last thing a process does."""
    if _provider is not None:
        _provider.force_flush(5000)
        _provider.shutdown()


def add_trace_id(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A structlog processor: which trace a line belongs to."""
    if current := trace_id():
        event.setdefault("trace_id", current)
    return event


def _plain(attributes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in attributes.items() if isinstance(value, str | int | float | bool)}
