"""Real UNIX accounts with passwords, for PAM."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rigs.ground import run
from rigs.people import PREFIX, forget_earlier_ones


@dataclass(frozen=True)
class Accounts:
    """`prefix`: what all their names begin with, as those of a run of the tests."""

    prefix: str


@contextmanager
def accounts(names: Sequence[str], password: str) -> Iterator[Accounts]:
    """Somebody of each name, after the prefix."""
    forget_earlier_ones()
    made = Accounts(f"{PREFIX}{os.getpid()}-")
    full = [f"{made.prefix}{name}" for name in names]
    try:
        for name in full:
            run("useradd", "--no-create-home", "--shell", "/bin/bash", name)
        lines = "".join(f"{name}:{password}\n" for name in full)
        subprocess.run(["chpasswd"], input=lines, text=True, check=True)
        yield made
    finally:
        for name in full:
            subprocess.run(["userdel", "--force", name], check=False, capture_output=True)
