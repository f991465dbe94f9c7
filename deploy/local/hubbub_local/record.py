"""The children of the stack on record, so that a stack that was killed can be cleared away by the next."""

import json
import signal
from dataclasses import asdict
from pathlib import Path

from hubbub_local import process
from hubbub_local.process import Process


def write(path: Path, pid: int, stop_signal: signal.Signals) -> None:
    """Put the child on record, and by what signal it ends."""
    if found := process.find(pid):
        path.write_text(json.dumps({"process": asdict(found), "signal": int(stop_signal)}))


def drop(path: Path, pid: int) -> None:
    """Take the child off the record, unless another one has its place by now."""
    if (found := read(path)) is None or found[0].pid == pid:
        path.unlink(missing_ok=True)


def end_left_over(run: Path, *, within: float = 10) -> None:
    """End the children of an earlier stack that are still there, by the records in its folder."""
    records = sorted(run.glob("*.pid"))
    process.end_each([found for path in records if (found := read(path))], within=within)
    for path in records:
        path.unlink(missing_ok=True)


def read(path: Path) -> tuple[Process, signal.Signals] | None:
    """The child on record and the signal by which it ends."""
    try:
        kept = json.loads(path.read_text())
        return Process(**kept["process"]), signal.Signals(kept["signal"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # half written by one that was killed at it: too young to have done anything
