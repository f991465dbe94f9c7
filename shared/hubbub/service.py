"""What every service's main does the same way: logs, signals, and tasks that end together."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
import uvloop

from hubbub import config, health, notify, telemetry
from hubbub.config import ConfigError, Options
from hubbub.settings import Settings, give_up

log = structlog.get_logger()


#: Characters of one value in a log line: names and addresses come from whoever sends a request.
LONGEST_VALUE, LONGEST_TRACEBACK = 1000, 20_000


def cut(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A processor: no value is longer than somebody reads."""
    for name, value in event.items():
        longest = LONGEST_TRACEBACK if name == "exception" else LONGEST_VALUE
        if isinstance(value, str) and len(value) > longest:
            event[name] = f"{value[:longest]}...({len(value)} characters)"
    return event


#: Seconds that a service may take to end besides those in which it finishes what runs.
AFTERWARDS = 4.0


def configure_logs(service: str, settings: Settings, level: int | str = "INFO") -> None:
    """One line a unit of work, JSON or for a console, on standard error."""
    number = level if isinstance(level, int) else getattr(logging, str(level).upper(), logging.INFO)
    render: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if settings.log_format == "console":
        render = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,  # others print local variables, and so secrets
        )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            telemetry.add_trace_id,
            structlog.processors.format_exc_info,
            cut,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service, instance=settings.instance)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)


def announce(service: str, **facts: object) -> None:
    """Say that the service does its work now: whoever supervises it waits for this line at any log level."""
    structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET)).info(
        f"{service}.ready", **facts
    )
    health.ready()
    notify.tell(notify.READY)


def load_options(settings: Settings) -> Options:
    """The operator's configuration; ends the process with a sentence if it cannot be used."""
    try:
        return config.load(settings.config, settings)
    except ConfigError as error:
        give_up(str(error))


def run(service: str, settings: Settings, main: Callable[[asyncio.Event], Awaitable[None]], level: int | str) -> None:
    """Run *main* until it returns. The event it gets is set at SIGTERM or SIGINT: then it should."""
    configure_logs(service, settings, level)
    telemetry.start(service, settings.instance)
    health.forget()

    left: list[SystemExit] = []

    async def guarded(stop: asyncio.Event) -> None:
        """Whatever ends the process on purpose ends *main* first: the loop would drop everything where it is."""
        try:
            await main(stop)
        except SystemExit as leaving:
            left.append(leaving)

    async def watched() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        task = asyncio.ensure_future(guarded(stop))
        stopping, beating = asyncio.ensure_future(stop.wait()), asyncio.ensure_future(_beat())
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            await asyncio.wait({task}, timeout=settings.linger_seconds + settings.grace_seconds + AFTERWARDS)
        stopping.cancel()
        beating.cancel()
        if not task.done():
            log.warning(f"{service}.slow_to_stop")
            task.cancel()
            await asyncio.wait({task}, timeout=1)
        if task.done() and not task.cancelled():
            task.result()
        log.info(f"{service}.stopped", pid=os.getpid())

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(watched())
    finally:
        telemetry.end()
    if left:
        raise SystemExit(left[0].code)


async def _beat() -> None:
    while True:
        health.beat()
        notify.tell(notify.ALIVE)
        await asyncio.sleep(health.EVERY_SECONDS)


async def until(stop: asyncio.Event, *tasks: Awaitable[None]) -> None:
    """Run *tasks* together until *stop* is set; if one of them fails, so does this."""
    running: list[asyncio.Task[Any]] = [asyncio.ensure_future(task) for task in tasks]
    stopping = asyncio.ensure_future(stop.wait())
    try:
        done, _ = await asyncio.wait({stopping, *running}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task is not stopping:
                task.result()  # raises what it failed with
    finally:
        await end(stopping, *running)


async def end(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel *tasks* until they have ended: `asyncio.wait_for` before Python 3.12 may lose one cancellation."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.5)
