"""Whether a process really is only what it was to become: no id, no group and no capability of ours is left."""

from collections.abc import Mapping
from pathlib import Path

from hubbub_spawner_worker.gate import Account, CannotRun


def verify(pid: int, account: Account) -> None:
    """Raises CannotRun, which says what is left."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError as error:
        raise CannotRun(f"nobody can tell as whom the process runs: {error}") from None
    if left := left_over(_fields(text), account):
        raise CannotRun(f"the process does not run as user {account.uid} only: {left}")


def left_over(fields: Mapping[str, str], account: Account) -> str:
    """*fields*: those of /proc/<pid>/status. "" if it has nothing but what is *account*'s."""
    expected = {
        # real, effective, saved, file system
        "Uid": {account.uid},
        "Gid": {account.gid},
    }
    for name, numbers in expected.items():
        if set(_numbers(fields.get(name, "-1"))) != numbers:
            return f"{name}: {fields.get(name)}"
    if strange := set(_numbers(fields.get("Groups", ""))) - {*account.groups, account.gid}:
        return f"Groups: {sorted(strange)}"
    for name in ("CapPrm", "CapEff", "CapAmb"):
        if account.uid != 0 and int(fields.get(name, "0"), 16):
            return f"{name}: {fields[name]}"
    return ""


def _fields(text: str) -> dict[str, str]:
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split()]
