"""Which TCP ports the stack listens on: the usual ones, or free ones, then kept because running servers know them."""

import json
import random
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hubbub.free_port import claim
from hubbub_local import process
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder, write_private

_LISTEN = "0A"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A port that is needed."""

    what: str
    host: str = "127.0.0.1"
    usual: int | None = None
    """Taken when it is free and nothing else was said."""
    configured: int | None = None
    """Said by a person: this one or none."""


def choose(
    folder: Folder,
    wishes: Mapping[str, Wish],
    *,
    any_free: bool = False,
    is_ours: Callable[[int], bool] = lambda _: False,
) -> dict[str, int]:
    """A port for every wish; what is chosen is kept in the folder and used again.

    `any_free` passes over the usual ports. `is_ours(pid)` says that the holder of a port is a part of this very hub
    that outlived it, such as its proxy. Raises StackError naming the port and its holder.
    """
    before = kept(folder)
    chosen: dict[str, int] = {}
    for name, wish in wishes.items():
        wanted = wish.configured or before.get(name)
        if wanted:
            _insist(wish, wanted, is_ours, kept_in=None if wish.configured else folder.ports)
        elif wish.usual and not any_free and wish.usual not in chosen.values() and is_free(wish.host, wish.usual):
            wanted = wish.usual
        else:
            wanted = _any_free(wish.host, not_in={*chosen.values(), *before.values()})
        chosen[name] = wanted
        claim(wanted)  # also while it is not listened on yet, or between one process and the next
    write_private(folder.ports, json.dumps(before | chosen, indent=1) + "\n")
    return chosen


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now; an empty host is every address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            # Connections of the last run that are still closing do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("" if host in {"*", "[::]"} else host.strip("[]"), port))
            probe.listen()
    except OSError:
        return False
    return True


def holders(port: int) -> list[int]:
    """The pids of the processes listening on a port, as far as this user may see."""
    sockets = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _listening(table, port)}
    return [each.pid for each in process.every() if sockets and sockets & _open_files(each.pid)]


def _insist(wish: Wish, port: int, is_ours: Callable[[int], bool], *, kept_in: Path | None) -> None:
    if is_free(wish.host, port):
        return
    pids = holders(port)
    if pids and all(is_ours(pid) for pid in pids):
        return
    holder = process.name_of(pids[0]) if pids else "a process of another user"
    if not pids and not _bindable(wish.host):
        raise StackError(f"cannot listen on {wish.host}: no such address on this machine")
    why = f", which this hub has used before (kept in {kept_in})" if kept_in else ""
    raise StackError(f"port {port} for {wish.what}{why} is taken by {holder}")


def _bindable(host: str) -> bool:
    return is_free(host, 0)


def _any_free(host: str, not_in: set[int]) -> int:
    """Below the range the kernel takes ports from for outgoing connections, which may hold one when we come again."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    candidates = range(max(1024, low - 12_000), low) if low > 2048 else range(20_000, 32_000)
    for port in random.sample(candidates, len(candidates)):
        if port not in not_in and is_free(host, port) and claim(port):
            return port
    raise StackError(f"no free port between {candidates.start} and {candidates.stop} on {host or 'any address'}")


def kept(folder: Folder) -> dict[str, int]:
    """Every port that was ever chosen, by name. Raises StackError if the file is damaged."""
    try:
        found = json.loads(folder.ports.read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(port, int) and 0 < port < 65536 for port in found.values()):
        raise StackError(f"{folder.ports} is damaged: it should hold a JSON object of port numbers")
    return found


def _listening(table: str, port: int) -> set[str]:
    """The inodes of sockets listening on a port."""
    try:
        lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    except OSError:
        return set()
    rows = [line.split() for line in lines]
    return {row[9] for row in rows if row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port}


def _open_files(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            # Files are closed while we look.
            with suppress(OSError):
                found.add(str(entry.readlink()))
    return found
