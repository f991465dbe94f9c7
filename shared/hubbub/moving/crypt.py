"""What JupyterHub keeps encrypted, by the keys of JUPYTERHUB_CRYPT_KEY or `c.CryptKeeper.keys`."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

VARIABLE = "JUPYTERHUB_CRYPT_KEY"


class BadKey(ValueError):
    """It is none of JupyterHub's keys: 32 bytes, as they are, or in hex, or in base64."""


def keeper(environ: Mapping[str, str], configured: Any = None) -> MultiFernet | None:
    """None if there is no key. Raises BadKey. *configured*: `c.CryptKeeper.keys`, which counts for more."""
    said = [configured] if isinstance(configured, str | bytes) else list(configured or ())
    keys = said or [each for each in environ.get(VARIABLE, "").split(";") if each.strip()]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_key(each))) for each in keys]) if keys else None


def _key(said: str | bytes) -> bytes:
    key = said.strip().encode("ascii", "replace") if isinstance(said, str) else said
    decoders = {44: base64.urlsafe_b64decode, 64: binascii.a2b_hex}
    if len(key) in decoders:
        try:
            key = decoders[len(key)](key)
        except ValueError:
            raise BadKey("a key of JupyterHub is neither hex nor base64") from None
    if len(key) != 32:
        raise BadKey(f"a key of JupyterHub has {len(key)} bytes instead of 32")
    return key


def opened(keys: Iterable[MultiFernet], sealed: bytes) -> bytes | None:
    """The JSON that *sealed* holds; None if none of *keys* opens it."""
    for each in keys:
        try:
            return each.decrypt(sealed)
        except InvalidToken:
            continue
    return None
