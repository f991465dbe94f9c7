"""What the commands that ask a hub take."""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from hubbub_local.client import session
from hubbub_local.client.table import Paper
from hubbub_local.client.times import duration, moment
from hubbub_local.options import checked

T = TypeVar("T")

#: A module of this package, and its function that does the command.
Done = Callable[[session.Hub, argparse.Namespace, Paper], Awaitable[int]]

STARTS = "USER, or USER/SERVER for a named server"
TIME = "10:30, 'yesterday 10:30', '2h ago', '2026-11-21 10:30', RFC 3339"


def add(commands: Any) -> None:
    """The parsers of all of them."""
    _operation(commands)
    _tables(commands)
    _story(commands)
    _servers(commands)


def _operation(commands: Any) -> None:
    from hubbub_local.client import operation

    _command(commands, "status", operation.status, "show pauses, banner, pools and workers")
    pause = _command(commands, "pause", operation.pause, "take no new starts; what runs goes on")
    pause.add_argument("reason", nargs="*", help="told to whoever would like to start something")
    _command(commands, "resume", operation.resume, "take starts again")
    banner = _command(commands, "banner", operation.banner, "have a sentence on every page")
    banner.add_argument("text", nargs="*")
    banner.add_argument("--warning", action="store_true", help="more than information")
    banner.add_argument("--until", type=_coming, metavar="TIME", help=f"when it goes by itself: {TIME}, 'in 2h'")
    banner.add_argument("--clear", action="store_true", help="take it away")
    drain = _command(commands, "drain", operation.drain, "have a worker take nothing more")
    drain.add_argument("worker")
    drain.add_argument(
        "--in", dest="within", type=_span, metavar="DURATION", help="when what it still has is stopped: 10m, 2h"
    )
    drain.add_argument("--at", type=_coming, metavar="TIME", help=f"the same as a time: {TIME}")
    drain.add_argument("--message", default="", metavar="TEXT", help="for those whose servers it has")
    drain.add_argument("--wait", action="store_true", help="until it holds nothing")
    undrain = _command(commands, "undrain", operation.undrain, "have a draining worker take work again")
    undrain.add_argument("worker")


def _tables(commands: Any) -> None:
    from hubbub_local.client import people

    users = _command(commands, "users", people.users, "list users and their servers")
    users.add_argument(
        "--state", choices=["active", "ready", "inactive"], help="only those with such a server, or none"
    )
    users.add_argument("--filter", default="", metavar="TEXT", help="only those in whose names this stands")
    users.add_argument(
        "--sort", default="id", metavar="KEY", help="id, name or last_activity; -KEY the other way round"
    )
    as_of = _command(commands, "as-of", people.as_of, "show users, servers or routes as they were at some time")
    as_of.add_argument("time", type=_place_in_time, metavar="TIME", help=f"{TIME}; or a position of the log")
    as_of.add_argument("what", choices=["users", "servers", "routes"])
    as_of.add_argument("--stopped", action="store_true", help="servers that were stopped, too")
    for table in (users, as_of):
        table.add_argument("--limit", type=_number, default=people.SOME, metavar="N", help=f"how many ({people.SOME})")
        table.add_argument("--all", action="store_true", help="all of them")


def _story(commands: Any) -> None:
    from hubbub_local.client import events, waterfall

    log = _command(commands, "events", events.events, "show the event log: its end, and what comes")
    log.add_argument("--follow", action="store_true", help="go on with what happens from now on")
    log.add_argument("--user", default="", metavar="USER", help="only about this user and their servers")
    log.add_argument("--server", default="", metavar="SERVER", help=f"only about this server: {STARTS}")
    log.add_argument("--group", default="", metavar="GROUP", help="only about this group")
    log.add_argument("--type", default="", metavar="TYPE,...", help="only of these types, as SpawnFailed")
    log.add_argument("--actor", default="", metavar="KIND:NAME", help="only by user:ada, service:x, worker:w1, sweep")
    log.add_argument("--since", type=_gone, metavar="TIME", help=f"all from then on: {TIME}")
    log.add_argument("--until", type=_gone, metavar="TIME", help="only before then")
    log.add_argument("--limit", type=_number, default=events.SOME, metavar="N", help=f"how many ({events.SOME})")
    log.add_argument("--all", action="store_true", help="from the first on")
    trace = _command(commands, "trace", waterfall.trace, "show where the time of a start went")
    trace.add_argument("server", metavar="SERVER", help=STARTS)
    trace.add_argument("--attempt", type=_number, metavar="N", help="which start; the newest if not said")
    trace.add_argument("--list", action="store_true", help="list its starts")
    trace.add_argument("--limit", type=_number, default=20, metavar="N", help="how many of them (20)")


def _servers(commands: Any) -> None:
    from hubbub_local.client import starting

    start = _command(commands, "start", starting.start, "start a server, and watch it start")
    start.add_argument(
        "--options", type=_options, metavar="JSON", help="its user options; those of the last time if not said"
    )
    stop = _command(commands, "stop", starting.stop, "stop a server, or cancel its start")
    stop.add_argument("--force", action="store_true", help="wait for nothing: it counts as stopped")
    for each in (start, stop):
        each.add_argument("server", metavar="SERVER", help=STARTS)
        each.add_argument("--timeout", type=_span, default="10m", metavar="DURATION", help="how long to wait (10m)")
        each.add_argument("--no-wait", action="store_true", help="only ask for it")


def _command(commands: Any, name: str, done: Done, help: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help)
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--url", default="", metavar="URL", help=f"of the hub; with a token in {session.TOKENS[0]}")
    parser.add_argument("--data", type=Path, metavar="DIR", help="of the hub of this data folder (.hubbub)")
    parser.add_argument("--as", dest="act_as", default="", metavar="USER", help="as whom, on the hub's own machine")
    parser.set_defaults(do=lambda asked: asyncio.run(_run(done, asked)))
    return parser


async def _run(done: Done, asked: argparse.Namespace) -> int:
    with suppress(RuntimeError, ValueError):  # in a thread there are no signals
        task = asyncio.current_task()
        assert task is not None
        # What was lent is given back whoever ends us.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with session.connected(asked) as hub:
        return await done(hub, asked, Paper(sys.stdout))


@checked
def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise ValueError(f"{text!r} is no number")
    return int(text)


@checked
def _span(text: str) -> float:
    """Seconds."""
    return duration(text).total_seconds()


@checked
def _gone(text: str) -> str:
    return moment(text, datetime.now().astimezone()).isoformat()


@checked
def _coming(text: str) -> str:
    return moment(text, datetime.now().astimezone(), ahead=True).isoformat()


def _place_in_time(text: str) -> str:
    """A position of the log is as good."""
    return text if text.isascii() and text.isdecimal() else _gone(text)


@checked
def _options(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"that is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError('options are an object, as {"profile": "large"}')  # noqa: TRY004 - argparse shows ValueErrors
    return found
