"""The secrets of a hub as files, one each: what services are told is where they are, so a restart finds the newest."""

from collections.abc import Mapping
from pathlib import Path

from hubbub_local.folder import write_private

#: The file of a setting that is the same for all who are told it; `URLS` differ.
_COMMON = {
    "COOKIE_SECRET": "cookie-secret",
    "VAULT_KEY": "vault-key",
    "BUS_KEY": "bus-key",
    "FORWARD_KEY": "forward-key",
}
_URLS = {"POSTGRES_URL": "postgres-url", "NATS_URL": "nats-url"}


def name_of(setting: str, user: str) -> str | None:
    """The file of *setting* (`HUBBUB_...` without that); None if it is no secret. *user*: `api`, `pool-gpu`, ..."""
    return f"{_URLS[setting]}-{user}" if setting in _URLS else _COMMON.get(setting)


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Those that differ from what is there."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, text in texts.items():
        path = folder / name
        if not path.exists() or path.read_text() != text + "\n":
            write_private(path, text + "\n")
