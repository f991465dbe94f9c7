"""What every rig stands on: a folder that any user may enter, and daemons that end with the rig."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Below it, paths stay short enough for sockets.
ROOT = Path("/tmp")


@dataclass(frozen=True)
class Ground:
    folder: Path

    def room(self, name: str) -> Path:
        """A folder of this name, for one rig."""
        made = self.folder / name
        made.mkdir(mode=0o755)
        return made

    def program(self, path: Path, text: str) -> Path:
        """Write an executable."""
        path.write_text(text)
        path.chmod(0o755)
        return path


@contextmanager
def ground() -> Iterator[Ground]:
    folder = Path(tempfile.mkdtemp(prefix="hubbub-rig-", dir=ROOT))
    folder.chmod(0o755)
    try:
        yield Ground(folder)
    finally:
        unmount_below(folder)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def daemon(room: Path, *command: str | Path, environ: dict[str, str] | None = None) -> Iterator[Callable[[], bool]]:
    """Run *command* as long as the block; yields whether it still runs. What it says is in <room>/<its name>.log."""
    with (room / f"{Path(command[0]).name}.log").open("ab") as log:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **(environ or {})},
            start_new_session=True,
        )
    try:
        yield lambda: process.poll() is None
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def until(true: Callable[[], Any], seconds: float, what: str, runs: Callable[[], bool] = lambda: True) -> Any:
    """What *true* returns, once that is true: daemons do not tell."""
    ends = time.monotonic() + seconds
    while not (found := true()):
        assert runs() and time.monotonic() < ends, what
        time.sleep(0.02)
    return found


def run(*command: str | Path, environ: dict[str, str] | None = None) -> str:
    """What it prints. Raises AssertionError with what it complains of."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        env={**os.environ, **(environ or {})},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


@contextmanager
def bound(source: Path, target: Path) -> Iterator[None]:
    """*source* can be seen at *target*, even where the way to *source* is closed to others."""
    target.mkdir()
    run("mount", "--bind", source, target)
    try:
        yield
    finally:
        run("umount", "--lazy", target)


def unmount_below(folder: Path) -> None:
    """Whatever is left mounted there, deepest first: what a daemon forgot."""
    with ExitStack() as undo:
        for line in Path("/proc/self/mounts").read_text().splitlines():
            place = line.split()[1]
            if place.startswith(f"{folder}/"):
                undo.callback(subprocess.run, ["umount", "--lazy", place], check=False)
