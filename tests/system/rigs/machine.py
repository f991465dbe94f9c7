"""A Debian of its own with systemd as its first process, in systemd-nspawn: what an operator has in front of them.

It has no network but its own, and Hubbub at /opt/hubbub as `make setup` leaves it: the environment that the tests
themselves run in, with the paths that it has there.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rigs.ground import Ground, daemon, run, until

CHECKOUT = Path(__file__).parents[3]
RELEASE = "bookworm"
PACKAGES = "curl,dbus,git,make,postgresql,procps,python3-venv,systemd-sysv"
#: Takes a minute to make, and is the same for every run.
CACHE = Path(os.environ.get("HUBBUB_SYSTEMD_CACHE", "/var/cache/hubbub-systemd"))
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NOT_SHIPPED = {".git", ".venv-jupyterhub", ".hubbub", ".screenshots", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


@dataclass(frozen=True)
class Machine:
    folder: Path
    leader: int

    def sh(self, command: str, *, seconds: float = 120, fails: bool = False) -> str:
        """What root sees who types that. Raises AssertionError if it fails, unless it is to."""
        enter = ["nsenter", "--target", str(self.leader), "--net", "--mount", "--pid", "--uts", "--ipc", "--cgroup"]
        done = subprocess.run(
            [
                *enter,
                "--root",
                "--wd",
                "env",
                "-i",
                f"PATH={PATH}",
                "HOME=/root",
                "LANG=C.UTF-8",
                "bash",
                "-c",
                command,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert fails or done.returncode == 0, f"$ {command}\n{done.stdout}\n{self.log()}"
        return done.stdout

    def log(self) -> str:
        """The last words of our units."""
        return self.sh(
            "systemctl list-units 'hubbub*' --no-pager; journalctl -u 'hubbub*' -n 60 --no-pager", fails=True
        )


@contextmanager
def machine(ground: Ground) -> Iterator[Machine]:
    room = ground.room("machine")
    root = room / "root"
    for folder in (root, room / "up", room / "work", room / "opt-up", room / "opt-work"):
        folder.mkdir()
    _mount(f"lowerdir={_base()},upperdir={room}/up,workdir={room}/work", root)
    hub = root / "opt" / "hubbub"
    hub.mkdir()
    _mount(f"lowerdir={CHECKOUT},upperdir={room}/opt-up,workdir={room}/opt-work", hub)
    try:
        _settle_in(hub)
        boot = ["systemd-nspawn", "--directory", root, "--boot", "--register=no", "--keep-unit", "--private-network"]
        with daemon(room, *boot) as runs:
            leader = until(lambda: _leader(root), 20, f"a first process: see {room}/systemd-nspawn.log", runs)
            made = Machine(root, leader)
            until(lambda: _is_up(made), 60, "a machine that is up", runs)
            try:
                yield made
            finally:
                # Quicker than to have everything stopped in order, of which nothing is kept.
                subprocess.run(["kill", "-KILL", str(leader)], check=False)
    finally:
        for place in (hub, root):
            run("umount", "--lazy", place)


def _base() -> Path:
    made = CACHE / f"debian-{RELEASE}"
    if not made.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        half = CACHE / f"half.{os.getpid()}"
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", RELEASE, str(half)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
        half.rename(made)
    return made


def _mount(options: str, place: Path) -> None:
    run("mount", "-t", "overlay", "overlay", "-o", options, place)


def _settle_in(hub: Path) -> None:
    """The environment was made for another folder, and for the Python that the tests have."""
    for name in _NOT_SHIPPED:
        run("rm", "-rf", hub / name)
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    packages = hub / ".venv" / "lib" / f"python{here}" / "site-packages"
    scripts = (hub / ".venv" / "bin").iterdir()
    for path in [*packages.glob("*.pth"), *(each for each in scripts if not each.is_symlink() and each.is_file())]:
        text = path.read_bytes()
        if (text.startswith(b"#!") or path.suffix == ".pth") and str(CHECKOUT).encode() in text:
            path.write_bytes(text.replace(str(CHECKOUT).encode(), b"/opt/hubbub"))
    for name in ("python", "python3", f"python{here}"):
        path = hub / ".venv" / "bin" / name
        path.unlink(missing_ok=True)
        path.symlink_to(f"/usr/bin/python{here}")


def _leader(root: Path) -> int | None:
    """The first process of the machine, as we see it."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            status = (place / "status").read_text()
        except OSError:
            continue
        if found := re.search(r"^NSpid:\s+(\d+)\s+1$", status, re.MULTILINE):
            parent = re.search(r"^PPid:\s+(\d+)$", status, re.MULTILINE)
            if parent and str(root) in _command(int(parent[1])):
                return int(found[1])
    return None


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def _is_up(made: Machine) -> bool:
    state = made.sh("systemctl is-system-running", fails=True).strip()
    return state in ("running", "degraded")
