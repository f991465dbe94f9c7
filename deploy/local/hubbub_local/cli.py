"""The command line: `hubbub up`, `hubbub token`, `hubbub events`, `hubbub verify`, `hubbub worker`."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import asyncpg

from hubbub.domain.message import Rejected
from hubbub_local import options, running, screen
from hubbub_local.errors import StackError
from hubbub_local.up import up

T = TypeVar("T")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; the exit status is 0 when all went well."""
    asked = _parser().parse_args(arguments)
    try:
        return int(asked.do(asked))
    except StackError as error:
        print(f"hubbub: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read the output has seen enough; nothing more can be said to them at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (asyncpg.PostgresError, OSError) as error:
        print(f"hubbub: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _up(asked: argparse.Namespace) -> int:
    wanted = options.Options(
        data=asked.data,
        config=asked.config,
        port=asked.port,
        scale=asked.scale,
        postgres=asked.postgres,
        nats=asked.nats,
    )
    with screen.on(sys.stdout) as shown:
        asyncio.run(up(wanted, shown))
    return 0


def _token(asked: argparse.Namespace) -> int:
    from hubbub import admin

    hub = running.of(asked.data)
    try:
        token = asyncio.run(admin.issue_token(hub.api_dsn, hub.vault_key, asked.user, frozenset(hub.admin_users)))
    except (Rejected, ValueError) as error:
        raise StackError(str(error)) from None
    print(token)
    return 0


def _events(asked: argparse.Namespace) -> int:
    from hubbub import admin

    hub = running.of(asked.data)
    asyncio.run(admin.print_events(hub.api_dsn, hub.vault_key, follow=asked.follow))
    return 0


def _verify(asked: argparse.Namespace) -> int:
    from hubbub import admin

    hub = running.of(asked.data)
    problems = asyncio.run(admin.verify(hub.owner_dsn, hub.vault_key))
    for problem in problems:
        print(problem)
    if not problems:
        print("the log and every view of it are whole")
    return 1 if problems else 0


def _rebuild(asked: argparse.Namespace) -> int:
    from hubbub import admin

    hub = running.of(asked.data)
    problems = asyncio.run(admin.rebuild(hub.owner_dsn, hub.vault_key))
    for problem in problems:
        print(problem)
    print("nothing was changed" if problems else "every view was made anew from the log")
    return 1 if problems else 0


def _worker(asked: argparse.Namespace) -> int:
    workers = running.of(asked.data).workers
    pool = next(iter(workers)) if asked.pool is None else asked.pool
    if pool not in workers:
        raise StackError(f"there is no pool {pool!r}; there are {', '.join(workers)}")
    print(running.environment(workers[pool], asked.nats), end="")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hubbub", description="A JupyterHub of event-sourced services, on one machine."
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    up_ = commands.add_parser("up", help="start everything and keep it running until Ctrl-C")
    up_.add_argument("-f", "--config", type=Path, metavar="FILE", help="a jupyterhub_config.py")
    up_.add_argument(
        "--port", type=_checked(options.parse_port), metavar="N", help="the public port; 0: any free ports"
    )
    up_.add_argument(
        "--scale",
        type=_checked(options.parse_scale),
        default={},
        metavar="SERVICE=N,...",
        help=f"how many of each service to run, of {', '.join(options.SERVICES)}; spawner-worker@POOL=N for a pool",
    )
    up_.add_argument("--postgres", metavar="URL", help="a Postgres to use, as a user who may create roles")
    up_.add_argument("--nats", metavar="URL", help="a NATS server with JetStream to use")
    up_.set_defaults(do=_up)

    token = commands.add_parser("token", help="print an API token for a user")
    token.add_argument("user")
    token.set_defaults(do=_token)

    events = commands.add_parser("events", help="show the event log")
    events.add_argument("--follow", action="store_true", help="go on with what happens from now on")
    events.set_defaults(do=_events)

    verify = commands.add_parser("verify", help="prove the log unbroken and every view equal to its replay")
    verify.set_defaults(do=_verify)

    rebuild = commands.add_parser("rebuild", help="drop every view and replay it from the log")
    rebuild.set_defaults(do=_rebuild)

    worker = commands.add_parser("worker", help="print the environment of a worker that runs elsewhere: it has secrets")
    worker.add_argument("pool", nargs="?", help="of which pool; of the usual one if not said")
    worker.add_argument("--nats", default="", metavar="HOST:PORT", help="where that worker finds NATS")
    worker.set_defaults(do=_worker)

    for command in (up_, token, events, verify, rebuild, worker):
        command.add_argument(
            "--data", type=Path, default=Path(".hubbub"), metavar="DIR", help="the data folder (.hubbub)"
        )
    return parser


def _checked(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Let argparse show what a ValueError says."""

    def checked(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked
