"""`hubbub up` on the command line."""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

from hubbub_local import options, screen
from hubbub_local.options import checked
from hubbub_local.up import up


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Its parser."""
    command = commands.add_parser("up", help="start everything and keep it running until Ctrl-C")
    command.add_argument("-f", "--config", type=Path, metavar="FILE", help="a jupyterhub_config.py")
    command.add_argument(
        "--port", type=checked(options.parse_port), metavar="N", help="the public port; 0: any free ports"
    )
    command.add_argument(
        "--scale",
        type=checked(options.parse_scale),
        default={},
        metavar="SERVICE=N,...",
        help=f"how many of each service to run, of {', '.join(options.SERVICES)}; spawner-worker@POOL=N for a pool",
    )
    command.add_argument("--postgres", metavar="URL", help="a Postgres to use, as a user who may create roles")
    command.add_argument("--nats", metavar="URL", help="a NATS server with JetStream to use")
    command.add_argument(
        "--nats-host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where the NATS that comes with Hubbub listens (127.0.0.1): 0.0.0.0 for workers of other hosts",
    )
    command.add_argument("--data", type=Path, default=Path(".hubbub"), metavar="DIR", help="the data folder (.hubbub)")
    command.set_defaults(do=_up)


def _up(asked: argparse.Namespace) -> int:
    wanted = options.Options(
        data=asked.data,
        config=asked.config,
        port=asked.port,
        scale=asked.scale,
        postgres=asked.postgres,
        nats=asked.nats,
        nats_host=asked.nats_host,
    )
    with screen.on(sys.stdout) as shown:
        asyncio.run(up(wanted, shown))
    return 0
