"""`hubbub rotate` on the command line."""

import argparse
from typing import Any

from hubbub_local import place, rotation, worker_commands


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Its parser."""
    rotate = commands.add_parser("rotate", help="change secrets of a hub that works, without anybody noticing")
    rotate.add_argument(
        "kind", nargs="?", choices=list(rotation.KINDS), default="crypt", help="which; crypt if not said"
    )
    worker_commands.where(rotate, restart=True)
    rotate.set_defaults(do=_rotate)


def _rotate(asked: argparse.Namespace) -> int:
    hub = place.of(asked.data, asked.kit, reload=asked.reload, restart=asked.restart)
    rotation.rotate(hub, asked.kind, print)
    return 0
