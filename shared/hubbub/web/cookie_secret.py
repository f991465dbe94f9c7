"""What cookies are signed with: one secret, and while it changes those before it, which are still believed."""

from collections.abc import Iterable
from typing import Self

from hubbub import vault

_LEAST = 32


class BadSecret(ValueError):
    """It is no secret, or too short."""


class CookieSecret(bytes):
    """The first signs; `every`: all of them may have signed what comes back."""

    every: tuple[bytes, ...]

    @classmethod
    def of(cls, secrets: Iterable[bytes]) -> Self:
        every = tuple(secrets)
        made = cls(every[0])
        made.every = every
        return made


def read(text: str) -> CookieSecret:
    """*text*: in hexadecimal, several with `;` between them. Raises BadSecret."""
    try:
        found = [bytes.fromhex(each) for each in vault.each(text)]
    except ValueError:
        raise BadSecret("it must be in hexadecimal") from None
    if any(len(each) < _LEAST for each in found):
        raise BadSecret(f"it must be at least {_LEAST} bytes")
    return CookieSecret.of(found)


def every(secret: bytes) -> tuple[bytes, ...]:
    """All that may have signed."""
    return secret.every if isinstance(secret, CookieSecret) else (secret,)
