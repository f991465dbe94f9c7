"""How a program is begun so that it never lives unrecorded: behind a gate that opens when its record is written.

The child is first a shell that waits for a line on its standard input. If the worker dies before it sends
one, the pipe closes and the shell ends; so there is no moment at which a server could outlive the worker
without being on the spool.
"""

import re
import resource
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

# $1 is how many files it may open, $2 the folder to work in, entered by the user whom it belongs to.
_GATE = """
read -r gate || exit 0
ulimit -S -n "$1"
cd -- "$2" || { echo "cannot enter $2, working in / instead" >&2; cd /; }
shift 2
exec "$@" </dev/null
"""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class Account:
    """The UNIX user a program runs as."""

    uid: int
    gid: int
    groups: Sequence[int]


class CannotRun(Exception):
    """The program cannot be started as it is configured."""


def begin(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: str,
    output: int,
    account: Account | None = None,
    options: Mapping[str, Any] | None = None,
    files: int | None = None,
) -> "subprocess.Popen[bytes]":
    """A child in a session of its own that waits for `let_go`. *options*: more arguments for Popen.

    *account*: as whom, if not as ourselves. *files*: how many it may open, if not as many as ourselves.
    """
    check(command, environment)
    become: dict[str, Any] = {}
    if account is not None:
        become = {"user": account.uid, "group": account.gid, "extra_groups": list(account.groups)}
    return subprocess.Popen(
        ["/bin/sh", "-c", _GATE, "sh", _limit(files), folder, *command],
        **{
            "stdout": output,
            "stderr": output,
            **become,
            **(options or {}),
            "env": dict(environment),
            "cwd": "/",
            "stdin": subprocess.PIPE,
            "bufsize": 0,
            "start_new_session": True,
        },
    )


def _limit(files: int | None) -> str:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if files is None else files
    return "unlimited" if limit == resource.RLIM_INFINITY else str(limit)


def let_go(child: "subprocess.Popen[bytes]") -> None:
    """Open the gate."""
    assert child.stdin is not None
    with suppress(BrokenPipeError):
        child.stdin.write(b"\n")
    child.stdin.close()


def call_back(child: "subprocess.Popen[bytes]") -> None:
    """The gate stays shut: the shell behind it ends."""
    if child.stdin is not None:
        child.stdin.close()
    child.kill()
    child.wait()


def check(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Raises CannotRun with a sentence, where the shell would only say it in the server's log."""
    if not command or not all(isinstance(word, str) for word in command):
        raise CannotRun(f"c.Spawner.cmd and args must be texts, not {command!r}")
    if shutil.which(command[0], path=environment.get("PATH")) is None:
        raise CannotRun(f"the command {command[0]!r} is not found, or cannot be executed")
    for name, value in environment.items():
        if not _NAME.fullmatch(name):
            raise CannotRun(f"{name!r} is no name for an environment variable")
        if not isinstance(value, str) or "\0" in value:
            raise CannotRun(f"the environment variable {name} is no text")
