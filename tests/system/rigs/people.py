"""A UNIX user as an operator's host has many: with a home, and with no right to read the checkout or root's Python."""

import os
import pwd
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rigs.ground import Ground, bound, run

STANDIN = Path(__file__).parent.parent.parent / "integration" / "standin.py"
PREFIX = "hubbub-guest-"


@dataclass(frozen=True)
class Visitor:
    """`python`, `standin`: what the user may run. `programs`: a folder for more. `packages`: what can be imported."""

    name: str
    python: Path
    packages: Path
    standin: Path
    programs: Path

    def script(self, name: str, body: str) -> Path:
        """A Python program that can import what we can."""
        made = self.programs / name
        made.write_text(f"#!{self.python}\nimport sys\nsys.path.insert(0, {str(self.packages)!r})\n{body}")
        made.chmod(0o755)
        return made


@contextmanager
def visitor(ground: Ground) -> Iterator[Visitor]:
    room = ground.room("guest")
    with ExitStack() as stack:
        forget_earlier_ones()
        name = f"{PREFIX}{os.getpid()}"
        run("useradd", "--create-home", "--home-dir", room / "home", "--shell", "/bin/bash", name)
        stack.callback(run, "userdel", "--force", name)
        stack.enter_context(bound(Path(sys.base_prefix), room / "python"))
        stack.enter_context(bound(Path(sysconfig.get_path("purelib")), room / "packages"))
        programs = room / "bin"
        programs.mkdir()
        real = room / "python" / "bin" / f"python3.{sys.version_info.minor}"
        # One that was built with a library of its own looks for that where others may not go.
        library = f'LD_LIBRARY_PATH="{room}/python/lib${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"'
        python = ground.program(programs / "python", f'#!/bin/sh\n{library} exec {real} "$@"\n')
        made = Visitor(name, python, room / "packages", programs / "standin", programs)
        made.script("standin", STANDIN.read_text())
        yield made
        shutil.rmtree(room / "home", ignore_errors=True)


def forget_earlier_ones() -> None:
    """Of runs that were killed."""
    for entry in pwd.getpwall():
        run_of, _, _ = entry.pw_name.removeprefix(PREFIX).partition("-")
        if entry.pw_name.startswith(PREFIX) and not Path("/proc", run_of).exists():
            run("userdel", "--force", entry.pw_name)
