"""Stand-ins for `systemd-run` and `systemctl` where systemd is not at work: each unit is a process with a record."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rigs.ground import Ground, run

PROGRAM = Path(__file__).parent / "units.py"


@dataclass(frozen=True)
class SystemdRig:
    """`programs`: to be found before the real ones. `units`: one file each."""

    programs: Path
    units: Path

    @property
    def environ(self) -> dict[str, str]:
        return {"PATH": f"{self.programs}:{os.environ['PATH']}", "RIG_UNITS": str(self.units)}

    def left(self) -> list[str]:
        """Folders of units that run. (What is known of failed ones stays, as with systemd.)"""
        return [path.name for path in Path("/run").glob("hubbub-rig-*")]

    def clear(self) -> None:
        for path in self.units.iterdir():
            run(self.programs / "systemctl", "stop", path.name, environ=self.environ)
            path.unlink(missing_ok=True)
        for folder in Path("/run").glob("hubbub-rig-*"):
            shutil.rmtree(folder)


@contextmanager
def systemd_rig(ground: Ground) -> Iterator[SystemdRig]:
    room = ground.room("systemd")
    rig = SystemdRig(room / "bin", room / "units")
    for folder in (rig.programs, rig.units):
        folder.mkdir()
    for name in ("systemd-run", "systemctl"):
        ground.program(rig.programs / name, f'#!/bin/sh\nexec {sys.executable} -I -S {PROGRAM} {name} "$@"\n')
    try:
        yield rig
    finally:
        rig.clear()
