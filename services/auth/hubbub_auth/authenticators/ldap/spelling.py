"""What people type, in the form that a directory takes it in, and in the directory's own spelling."""

import re
import unicodedata
from collections.abc import Iterable
from string import Formatter

_PLAIN = re.compile(r"[A-Za-z0-9._@+-]+", re.ASCII)
_NAMING = re.compile(r"([A-Za-z][A-Za-z0-9-]*)=\{username\}")


def password_of(typed: str) -> bytes:
    """As a simple bind wants it (RFC 4513, 5.1.3). Empty, if nothing of it counts, or there can be no such password."""
    from ldap3.core.exceptions import LDAPExceptionError
    from ldap3.protocol.sasl.sasl import validate_simple_password

    try:
        found: bytes = validate_simple_password(typed)
    except (LDAPExceptionError, UnicodeError):
        return b""
    return found if found.strip() else b""


def in_filter(text: str) -> str:
    """*text* as a value in a search filter (RFC 4515)."""
    from ldap3.utils.conv import escape_filter_chars

    escaped: str = escape_filter_chars(text)
    return escaped


def in_dn(text: str) -> str:
    """*text* as a value in a distinguished name (RFC 4514). It must not be empty."""
    from ldap3.utils.dn import escape_rdn

    escaped: str = escape_rdn(text)
    return escaped


def own_spelling(typed: str, values: Iterable[str]) -> str | None:
    """The one of an entry's *values* that the directory has taken *typed* for.

    It does not tell `ada` from `Ada`, from `a\u200dda` or from the letters of some other alphabet that look wide: the
    hub would, and so there would be several users who are one person, some of them not blocked. None: nobody can say.
    """
    if found := next((value for value in values if _alike(value) == _alike(typed)), None):
        return found
    return typed if _PLAIN.fullmatch(typed) else None


def _alike(text: str) -> str:
    """Equal for texts that a directory may take for the same (RFC 4518, roughly)."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    shown = "".join(letter for letter in folded if unicodedata.category(letter) != "Cf")
    return " ".join(shown.split())


def naming_attribute(templates: Iterable[str]) -> str:
    """The attribute that the name stands for in `uid={username},...`; empty if that cannot be seen."""
    return next((found[1] for template in templates if (found := _NAMING.match(template))), "")


def fields_of(template: str) -> set[str]:
    """The names in braces. Raises ValueError."""
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def is_dn(text: str) -> bool:
    r"""Not so the names that Active Directory takes in the place of one: `ada@example.org`, `EXAMPLE\\ada`."""
    return "=" in text
