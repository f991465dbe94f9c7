"""`hubbub token`, `password`, `verify` and `rebuild`: what an operator does directly on the log."""

import argparse
import asyncio
from pathlib import Path
from typing import Any

from hubbub import admin
from hubbub.domain.message import Rejected
from hubbub.handle import LogUnavailable
from hubbub_local import running
from hubbub_local.errors import StackError


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Their parsers."""
    token = commands.add_parser("token", help="print an API token for a user")
    token.add_argument("user")
    token.set_defaults(do=_token)

    password = commands.add_parser(
        "password", help="print a link by which a user can choose a password (hubbub-passwords); the one until now ends"
    )
    password.add_argument("user")
    password.add_argument(
        "--hours", type=int, choices=range(1, 721), default=24, metavar="N", help="how long the link is good (24)"
    )
    password.set_defaults(do=_password)

    verify = commands.add_parser("verify", help="prove the log unbroken and every view equal to its replay")
    verify.set_defaults(do=_verify)

    rebuild = commands.add_parser("rebuild", help="drop every view and replay it from the log")
    rebuild.set_defaults(do=_rebuild)

    for command in (token, password, verify, rebuild):
        command.add_argument(
            "--data", type=Path, default=Path(".hubbub"), metavar="DIR", help="the data folder (.hubbub)"
        )


def _token(asked: argparse.Namespace) -> int:
    hub = running.of(asked.data)
    try:
        token = asyncio.run(admin.issue_token(hub.api_dsn, hub.vault_key, asked.user, frozenset(hub.admin_users)))
    except (Rejected, ValueError, LogUnavailable) as error:
        raise StackError(str(error)) from None
    print(token)
    return 0


def _password(asked: argparse.Namespace) -> int:
    hub = running.of(asked.data)
    try:
        link = asyncio.run(admin.password_link(hub.api_dsn, hub.vault_key, asked.user, hours=asked.hours))
    except (Rejected, ValueError, LogUnavailable) as error:
        raise StackError(str(error)) from None
    print(f"{hub.public_url}hub/password?link={link}")
    return 0


def _verify(asked: argparse.Namespace) -> int:
    hub = running.of(asked.data)
    problems = asyncio.run(admin.verify(hub.owner_dsn, hub.vault_key))
    for problem in problems:
        print(problem)
    if not problems:
        print("the log and every view of it are whole")
    return 1 if problems else 0


def _rebuild(asked: argparse.Namespace) -> int:
    hub = running.of(asked.data)
    problems = asyncio.run(admin.rebuild(hub.owner_dsn, hub.vault_key))
    for problem in problems:
        print(problem)
    print("nothing was changed" if problems else "every view was made anew from the log")
    return 1 if problems else 0
