"""One trace from a person's click to the answer: ids always, spans exported when an endpoint is set."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import structlog

_current: ContextVar[str] = ContextVar("traceparent", default="")
_tracer: Any = None


def traceparent() -> str:
    """The W3C traceparent of what is being done now; a new trace if nothing is."""
    return _current.get() or f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def trace_id() -> str:
    return _current.get()[3:35]


@contextmanager
def span(name: str, parent: str = "", **attributes: Any) -> Iterator[str]:
    """Do something as one step of a trace: of *parent* (a traceparent), else of the current one.

    Yields the traceparent to hand on. Without an exporter this costs a few microseconds.
    """
    above = parent or _current.get()
    if _tracer is None:
        trace = above[3:35] if above else secrets.token_hex(16)
        token = _current.set(f"00-{trace}-{secrets.token_hex(8)}-01")
        try:
            yield _current.get()
        finally:
            _current.reset(token)
        return
    from opentelemetry import propagate
    from opentelemetry import trace as otel

    context = propagate.extract({"traceparent": above}) if above else None
    with _tracer.start_as_current_span(name, context=context, attributes=_plain(attributes)) as active:
        ids = active.get_span_context()
        token = _current.set(f"00-{ids.trace_id:032x}-{ids.span_id:016x}-01")
        try:
            yield _current.get()
        except Exception as error:
            active.set_status(otel.Status(otel.StatusCode.ERROR, str(error)))
            raise
        finally:
            _current.reset(token)


def start(service: str, instance: str) -> None:
    """Export spans by OTLP over HTTP if OTEL_EXPORTER_OTLP_ENDPOINT is set; add trace ids to log lines."""
    global _tracer  # noqa: PLW0603 - one exporter a process, set once at its start
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(
        resource=Resource.create({"service.name": f"hubbub-{service}", "service.instance.id": instance})
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=1000))
    _tracer = provider.get_tracer("hubbub")


def add_trace_id(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A structlog processor: which trace a line belongs to."""
    if current := trace_id():
        event.setdefault("trace_id", current)
    return event


def _plain(attributes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in attributes.items() if isinstance(value, str | int | float | bool)}
