"""The secrets of one hub, made once and kept, since cookies, sealed fields and running servers depend on them."""

import base64
import json
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from hubbub_local.errors import StackError
from hubbub_local.folder import Folder, write_private

_READABLE = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Each as the services expect it in their environment."""

    cookie_secret: str
    forward_key: str
    vault_key: str
    bus_key: str
    proxy_token: str
    login_password: str


def load(folder: Folder) -> Keys:
    """The folder's secrets; what is not there yet is made and added, nothing there is ever changed."""
    kept = _read(folder)
    keys = Keys(
        cookie_secret=_text(kept, "cookie_secret", _hex),
        forward_key=_text(kept, "forward_key", _hex),
        vault_key=_text(kept, "vault_key", _fernet),
        bus_key=_text(kept, "bus_key", _fernet),
        proxy_token=_text(kept, "proxy_token", _hex),
        login_password=_text(kept, "login_password", _readable),
    )
    _write(folder, kept)
    write_private(folder.login_password, keys.login_password + "\n")
    return keys


def passwords(folder: Folder, kind: str, users: Iterable[str]) -> dict[str, str]:
    """The passwords of these users of a `kind` of server, made and kept likewise."""
    kept = _read(folder)
    before = set(kept)
    found = {user: _text(kept, f"{kind} {user}", _hex) for user in users}
    if any(f"{kind} {user}" not in before for user in found):
        _write(folder, kept)
    return found


def names(folder: Folder, beginning: str) -> list[str]:
    """Of all secrets whose names begin so."""
    return sorted(name for name in _read(folder) if name.startswith(beginning))


def value(folder: Folder, name: str) -> str:
    """Empty if there is none of that name."""
    return _read(folder).get(name, "")


def put(folder: Folder, texts: Mapping[str, str]) -> None:
    _write(folder, {**_read(folder), **texts})


def drop(folder: Folder, gone: Iterable[str]) -> None:
    left = set(gone)
    _write(folder, {name: text for name, text in _read(folder).items() if name not in left})


def new_hex() -> str:
    return _hex()


def new_fernet() -> str:
    return _fernet()


def _write(folder: Folder, kept: dict[str, str]) -> None:
    write_private(folder.secrets, json.dumps(kept, indent=1) + "\n")


def _read(folder: Folder) -> dict[str, str]:
    try:
        kept = json.loads(folder.secrets.read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        kept = None
    if not isinstance(kept, dict) or not all(isinstance(value, str) and value for value in kept.values()):
        raise StackError(f"{folder.secrets} is damaged: it should hold a JSON object of texts")
    return kept


def _text(kept: dict[str, str], name: str, make: Callable[[], str]) -> str:
    return kept.setdefault(name, make())


def _hex() -> str:
    return secrets.token_hex(32)


def _fernet() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def _readable() -> str:
    """Eighty bits a person can type from one screen to another."""
    return "-".join("".join(secrets.choice(_READABLE) for _ in range(4)) for _ in range(4))
