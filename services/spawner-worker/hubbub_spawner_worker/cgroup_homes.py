"""Where this worker may make cgroups: in which folder, of which version, with which controllers.

Always below the cgroup that the worker itself is in (version 2: or next to it), so that nothing leaves the limits
that somebody has put around it. Rules of version 2, from the kernel's documentation: a cgroup that has processes
gives no memory or cpu controller to its children, unless it is the root; and below systemd only what was delegated
is ours to arrange.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

MEMORY, CPU = "memory", "cpu"
#: The cgroup that the worker, and whoever is with it, moves into where there was none between it and what is delegated.
SERVICES = "hubbub-services"
_ROUNDS = 10
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, kw_only=True)
class Home:
    """Cgroups are made as subfolders of *folder*."""

    folder: Path
    version: int


@dataclass(frozen=True, kw_only=True)
class Homes:
    """`limits`: where to limit memory, cpu. `tracks`: where to keep together those that nothing is to be limited of.
    `flaws`: why there is no place for one of them.
    """

    limits: Mapping[str, Home] = field(default_factory=dict)
    tracks: Home | None = None
    flaws: Mapping[str, str] = field(default_factory=dict)

    @property
    def folders(self) -> frozenset[Path]:
        return frozenset(home.folder for home in (*self.limits.values(), self.tracks) if home)


def find_homes(proc: Path = Path("/proc/self"), *, systemd: bool | None = None) -> Homes:
    """*proc*: the worker's own. *systemd*: whether it rules this machine.

    Where it is needed the controllers are switched on, and the worker moves into a cgroup of its own.
    """
    ruled = Path("/run/systemd/system").is_dir() if systemd is None else systemd
    try:
        mounts = [mount for line in _lines(proc / "mountinfo") if (mount := _mount(line))]
        owns = dict(_own(line) for line in _lines(proc / "cgroup"))
    except (OSError, ValueError) as error:
        return Homes(flaws=dict.fromkeys((MEMORY, CPU), f"{proc} cannot be read: {error}"))
    second, flaw = _second(mounts, owns, systemd=ruled)
    given = _enabled(second.folder) if second else frozenset()
    limits, flaws = {}, {}
    for name in (MEMORY, CPU):
        first, why = _first(mounts, owns, name)
        if first:
            limits[name] = first
        elif second and name in given:
            limits[name] = second
        else:
            flaws[name] = why or flaw or f"{second and second.folder} has no controller for it"
    tracks = second or _first(mounts, owns, "pids")[0] or limits.get(MEMORY) or limits.get(CPU)
    return Homes(limits=limits, tracks=tracks, flaws=flaws)


@dataclass(frozen=True, kw_only=True)
class _Mount:
    kind: str
    root: str
    point: Path
    controllers: frozenset[str]

    def folder(self, own: str) -> Path | None:
        """The cgroup *own* as it is seen here, if it is."""
        try:
            return self.point / Path(own).relative_to(self.root)
        except ValueError:
            return None


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def _mount(line: str) -> _Mount | None:
    """A line of mountinfo (proc(5)); None for what is no cgroup."""
    before, _, after = line.partition(" - ")
    kind, _, options = after.split(" ", 2)
    if kind not in ("cgroup", "cgroup2"):
        return None
    root, point = (_OCTAL.sub(lambda found: chr(int(found[1], 8)), text) for text in before.split(" ")[3:5])
    return _Mount(kind=kind, root=root, point=Path(point), controllers=frozenset(options.split(",")))


def _own(line: str) -> tuple[str, str]:
    """A line of /proc/self/cgroup: its controllers ("" for version 2) and the path."""
    _, controllers, path = line.split(":", 2)
    return controllers, path


# Version 1 ------------------------------------------------------------------------------------


def _first(mounts: list[_Mount], owns: Mapping[str, str], controller: str) -> tuple[Home | None, str]:
    """The home for one controller, or why there is none; "" if it is not one of version 1."""
    mount = next((each for each in mounts if each.kind == "cgroup" and controller in each.controllers), None)
    if mount is None:
        return None, ""
    own = next((path for names, path in owns.items() if controller in names.split(",")), None)
    folder = mount.folder(own) if own else None
    if folder is None or not folder.is_dir():
        return None, f"the worker's own cgroup {own} is not below {mount.point}"
    if not os.access(folder, os.W_OK):
        return None, f"this worker may not write to {folder}"
    return Home(folder=folder, version=1), ""


# Version 2 ------------------------------------------------------------------------------------


def _second(mounts: list[_Mount], owns: Mapping[str, str], *, systemd: bool) -> tuple[Home | None, str]:
    """The home of version 2, with all controllers on that it can have, or why there is none."""
    mount = next((each for each in mounts if each.kind == "cgroup2"), None)
    if mount is None or "" not in owns:
        return None, "no cgroups are mounted"
    own = mount.folder(owns[""])
    if own is None or not own.is_dir():
        return None, f"the worker's own cgroup {owns['']} is not below {mount.point}"
    try:
        folder = _base(own, mount.point, systemd=systemd)
        if folder is None:
            return None, f"{own} is not delegated to this worker (systemd: Delegate=yes in its unit)"
        _enable(folder)
    except OSError as error:
        return None, f"{own}: {error.strerror}"
    return Home(folder=folder, version=2), ""


def _base(own: Path, root: Path, *, systemd: bool) -> Path | None:
    """Below which cgroup ours are made."""
    if not (own / "cgroup.type").exists():  # only the root of all has no type
        return own if os.access(own, os.W_OK) else None
    if root not in (own, own.parent) and _is_delegated(own.parent, systemd=systemd):
        return own.parent
    if _is_delegated(own, systemd=systemd):
        _move_out(own)
        return own
    return None


def _is_delegated(folder: Path, *, systemd: bool) -> bool:
    """Whether all below *folder* is ours to arrange."""
    if not (os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK)):
        return False
    if not systemd:
        return True
    for mark in ("user.delegate", "trusted.delegate"):
        with suppress(OSError):
            return os.getxattr(folder, mark) == b"1"
    # Older releases of systemd leave no mark that we could read; but then a delegated one is where our property begins.
    me = os.geteuid()
    return me != 0 and folder.stat().st_uid == me and folder.parent.stat().st_uid != me


def _move_out(own: Path) -> None:
    """All that are in *own* go into a cgroup below it, so that it can have others beside that."""
    inner = own / SERVICES
    inner.mkdir(exist_ok=True)
    for _ in range(_ROUNDS):
        members = (own / "cgroup.procs").read_text().split()
        if not members:
            return
        for pid in members:
            with suppress(ProcessLookupError):
                (inner / "cgroup.procs").write_text(pid)


def _enable(folder: Path) -> None:
    """One after the other: what the machine does not have, or will not give, must not keep the other away."""
    there = set((folder / "cgroup.controllers").read_text().split())
    for name in sorted({MEMORY, CPU} & there - _enabled(folder)):
        with suppress(OSError):
            (folder / "cgroup.subtree_control").write_text(f"+{name}")


def _enabled(folder: Path) -> frozenset[str]:
    return frozenset((folder / "cgroup.subtree_control").read_text().split())
