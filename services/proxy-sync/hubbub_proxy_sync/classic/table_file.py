"""The file of Traefik's table: what it says, and which state of it that is."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hubbub.internal_tls.files import write_private

Table = dict[str, Any]
#: What tells one state of a file from another; () if there is none.
Signature = tuple[int, ...]

#: What YAML does not take as it is, though JSON does.
_UNTAKEN = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def signature(path: str | Path) -> Signature:
    """Of a file; it keeps it when it is renamed."""
    try:
        found = os.stat(path)  # noqa: PTH116  (once a second, with what the class has)
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_ino, found.st_size)


class Rules:
    """A file of JSON, which YAML takes as well: written and read in a hundredth of the time that TOML needs.

    `check` is called when all is ready to take its place, and raises if it must not. `written`: the signature of what
    was written last.
    """

    def __init__(self, path: Path, check: Callable[[], None] = lambda: None) -> None:
        self._path = path
        self._check = check
        self.written: Signature = ()

    def load(self) -> Table:
        """Raises FileNotFoundError. What cannot be read, Traefik cannot read either: nothing is there."""
        try:
            found = json.loads(self._path.read_text(errors="replace"))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def atomic_dump(self, table: Table) -> None:
        text = json.dumps(table, ensure_ascii=False, indent=0)
        ready = self._path.with_name(f"{self._path.name}.{os.getpid()}")  # another proxy-sync may be writing, too
        write_private(ready, _UNTAKEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text))
        try:
            self._check()
            self.written = signature(ready)  # of what is there afterwards, that may be another's already
            ready.replace(self._path)
        finally:
            ready.unlink(missing_ok=True)
