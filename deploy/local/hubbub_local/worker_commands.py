"""`hubbub worker add`, `list`, `renew`, `revoke` and `env`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hubbub.credential import Credential
from hubbub.reachable import is_here
from hubbub_local import bus_users, place, running, workers
from hubbub_local.errors import StackError
from hubbub_local.place import Place


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Its parser."""
    worker = commands.add_parser("worker", help="workers of other hosts: their credentials")
    verbs = worker.add_subparsers(required=True, metavar="verb")

    made = verbs.add_parser("add", help="print a credential: all that one more worker needs, in one file")
    made.add_argument("--pool", default="", help="of which pool; of the usual one if not said")
    made.add_argument("--name", default="", help="what it is called; chosen if not said")
    made.set_defaults(do=_add)
    renewed = verbs.add_parser("renew", help="print a fresh credential of a worker; the one before ends")
    renewed.set_defaults(do=_renew)
    for parser in (made, renewed):
        parser.add_argument(
            "--nats",
            action="append",
            default=[],
            metavar="HOST:PORT",
            help="where that worker finds the hub's NATS; may be said again",
        )
    listed = verbs.add_parser("list", help="those that have a credential")
    listed.set_defaults(do=_list)
    revoked = verbs.add_parser("revoke", help="cut a worker off, for good; others go on with its servers")
    revoked.set_defaults(do=_revoke)
    for parser in (renewed, revoked):
        parser.add_argument("name")
    told = verbs.add_parser("env", help="print the environment of a worker that has no credential: it has secrets")
    told.add_argument("pool", nargs="?", help="of which pool; of the usual one if not said")
    told.add_argument("--nats", default="", metavar="HOST:PORT", help="where that worker finds NATS")
    told.set_defaults(do=_env)
    for parser in (made, renewed, listed, revoked, told):
        where(parser)


def where(parser: argparse.ArgumentParser, *, restart: bool = False) -> None:
    """Which hub is meant."""
    parser.add_argument("--data", type=Path, default=Path(".hubbub"), metavar="DIR", help="the data folder (.hubbub)")
    kit = os.environ.get("HUBBUB_KIT")
    parser.add_argument(
        "--kit",
        type=Path,
        default=Path(kit) if kit else None,
        metavar="DIR",
        help="the folder of `hubbub kit`, of a hub that something else runs (HUBBUB_KIT)",
    )
    parser.add_argument(
        "--reload", default="", metavar="COMMAND", help="with --kit: has NATS read its configuration anew (SIGHUP)"
    )
    if restart:
        parser.add_argument(
            "--restart",
            default="",
            metavar="COMMAND",
            help="with --kit: restarts a service, whose name stands for {}: 'systemctl restart hubbub-{}@*'",
        )


def _place(asked: argparse.Namespace) -> Place:
    return place.of(asked.data, asked.kit, reload=asked.reload)


def _add(asked: argparse.Namespace) -> int:
    hub = _place(asked)
    _print(hub, workers.add(hub, asked.pool or hub.pools[0], asked.name, _addresses(hub, asked.nats)))
    return 0


def _renew(asked: argparse.Namespace) -> int:
    hub = _place(asked)
    _print(hub, workers.renew(hub, asked.name, _addresses(hub, asked.nats)))
    return 0


def _print(hub: Place, made: Credential) -> None:
    sys.stdout.write(made.text())
    if all(is_here(urlsplit(address).hostname or "") for address in made.nats):
        sys.stderr.write(
            "on another host it finds nobody at 127.0.0.1: say by --nats where NATS is reached from there\n"
        )
    _tell_nats(hub, f"{made.worker}, of the pool {made.pool}, may come in at {', '.join(made.nats)}")


def _addresses(hub: Place, said: Sequence[str]) -> list[str]:
    for address in said:
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise StackError(f"--nats: {address!r} is not like nats.example.org:4222")
    return list(said) or list(hub.nats)


def _list(asked: argparse.Namespace) -> int:
    rows: list[Any] = bus_users.remotes(_place(asked).folder)
    for remote in rows:
        print(f"{remote.name}  pool {remote.pool}  since {remote.since}")  # noqa: T201
    return 0


def _revoke(asked: argparse.Namespace) -> int:
    hub = _place(asked)
    workers.revoke(hub, asked.name)
    _tell_nats(hub, f"{asked.name} is cut off; what it knows of the bus key ends with `hubbub rotate bus`")
    return 0


def _tell_nats(hub: Place, done: str) -> None:
    """The credential alone is on standard output, which goes into a file."""
    if hub.reload_nats():
        sys.stderr.write(f"{done}\n")
    else:
        sys.stderr.write(f"have NATS read its configuration anew (SIGHUP, e.g. `systemctl reload`); then {done}\n")


def _env(asked: argparse.Namespace) -> int:
    told = running.of(asked.data).workers
    pool = next(iter(told)) if asked.pool is None else asked.pool
    if pool not in told:
        raise StackError(f"there is no pool {pool!r}; there are {', '.join(told)}")
    sys.stdout.write(running.environment(told[pool], asked.nats))
    return 0
