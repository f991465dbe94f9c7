"""What the map has, taken from the text in which HAProxy shows it."""

from typing import NamedTuple

from hubbub_proxy_sync.proxies.haproxy import entries, keys
from hubbub_proxy_sync.proxies.proxy import ProxyRoute


class Entry(NamedTuple):
    """`route`: None if it is not ours, or nobody who asks for something comes upon it."""

    place: str
    key: str
    value: str
    route: ProxyRoute | None


class Listing:
    """`values`: of entries of ours, by key. `foreign`: the keys of others'. `doubles`: places in memory of what is too
    much. `routes`: ours, by routespec. `fallback`: where all else leads, "" if there is no such entry.

    Texts of megabytes are read each second, in which hardly anything changes: no line is taken apart twice.
    """

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.foreign: set[str] = set()
        self.doubles: list[str] = []
        self.routes: dict[str, ProxyRoute] = {}
        self.fallback = ""
        self.is_current = False
        self._shown = b""
        self._lines: dict[bytes, Entry] = {}

    def read(self, shown: bytes) -> None:
        if not self.is_current or shown != self._shown:
            self._shown = shown
            known = self._lines
            self._lines = {line: known.get(line) or _entry(line) for line in shown.splitlines() if line}
            self._sort(list(self._lines.values()))
        self.is_current = True

    def kept(self) -> list[tuple[str, str]]:
        """All entries but the doubles, in their order."""
        doubles = set(self.doubles)
        return [(entry.key, entry.value) for entry in self._lines.values() if entry.place not in doubles]

    def forget(self) -> None:
        """Nobody knows what became of a change."""
        self.is_current = False

    def put(self, key: str, value: str) -> None:
        self.values[key] = value
        self.foreign.discard(key)
        self._shown = b""

    def drop(self, key: str) -> None:
        self.values.pop(key, None)
        self._shown = b""

    def _sort(self, found: list[Entry]) -> None:
        ours = [entry for entry in found if entries.is_ours(entry.value)]
        self.values = {entry.key: entry.value for entry in ours}
        self.foreign = {entry.key for entry in found if not entries.is_ours(entry.value)}
        self.doubles = []
        if len(self.values) < len(ours):
            self.doubles = _doubles(ours)
            ours = [entry for entry in ours if entry.place not in set(self.doubles)]
            self.values = {entry.key: entry.value for entry in ours}
        self.routes = {entry.route["routespec"]: entry.route for entry in ours if entry.route}
        self.fallback = self.values.pop(keys.FALLBACK, "")


def _entry(line: bytes) -> Entry:
    place, _, rest = line.decode(errors="replace").partition(" ")
    key, _, value = rest.partition(" ")
    if not entries.is_ours(value):
        return Entry(place, key, value, None)
    try:
        routespec = keys.routespec_of(key)
    except ValueError:
        return Entry(place, key, value, None)
    kept = entries.kept_of(value)
    return Entry(place, key, value, ProxyRoute(routespec=routespec, target=kept.target, data=kept.data))


def _doubles(found: list[Entry]) -> list[str]:
    """Two who wrote at once may have added a key twice. If they do not agree, neither is left."""
    values: dict[str, list[str]] = {}
    for entry in found:
        values.setdefault(entry.key, []).append(entry.value)
    agreed = {key for key, said in values.items() if len(set(said)) == 1}
    kept: set[str] = set()
    places = []
    for entry in found:
        if entry.key not in agreed or entry.key in kept:
            places.append(entry.place)
        kept.add(entry.key)
    return places


def left_by_others(map_file: str) -> str:
    """The lines of *map_file* that are not ours: those of ours may lead to what is somebody else's by now."""
    lines = (line for line in map_file.splitlines() if line.strip())
    return "".join(f"{line}\n" for line in lines if not entries.is_ours(line.partition(" ")[2].lstrip()))


def as_file(shown: bytes) -> str:
    """The map as a file that HAProxy begins with."""
    lines = (line.partition(" ")[2] for line in shown.decode(errors="replace").splitlines())
    return "".join(f"{line}\n" for line in lines if line)
