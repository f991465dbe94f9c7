"""The command line: `hubbub up`, `token`, `verify` and the others."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import asyncpg

from hubbub_local.errors import StackError

#: Which module of this package knows which commands, in the order of `hubbub --help`. Only the one that is asked for
#: is loaded: to load them all takes longer than most commands take.
KNOWN_BY = {
    "up_command": ("up",),
    "log_commands": ("token", "password", "verify", "rebuild"),
    "rotate_command": ("rotate",),
    "worker_commands": ("worker",),
    "kit_commands": ("kit", "migrate"),
    "moving.commands": ("import", "export"),
    "keeping_commands": ("backup", "restore", "archive", "check"),
    "restart": ("restart",),
    "forget": ("forget",),
    "upgrade": ("upgrade",),
    "client.arguments": (
        *("status", "pause", "resume", "banner", "drain", "undrain"),
        *("users", "as-of", "events", "trace", "start", "stop"),
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; the exit status is 0 when all went well."""
    said = sys.argv[1:] if arguments is None else list(arguments)
    asked = parser(said[0] if said else "").parse_args(said)
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
    except asyncio.CancelledError:
        return 143


def parser(command: str = "") -> argparse.ArgumentParser:
    """Of *command*, or of all of them if that is none."""
    made = argparse.ArgumentParser(prog="hubbub", description="A JupyterHub of event-sourced services, on one machine.")
    commands = made.add_subparsers(required=True, metavar="command")
    for module in [name for name, known in KNOWN_BY.items() if command in known] or KNOWN_BY:
        import_module(f"hubbub_local.{module}").add(commands)
    return made
