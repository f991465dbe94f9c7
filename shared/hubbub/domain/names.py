"""What users, servers, groups and services may be called, and where servers live (contract: slugs, paths, clients)."""

import re
import unicodedata
from urllib.parse import quote, unquote

from hubbub.domain.message import Invalid

_SERVER = re.compile(r"[a-z](?:-?[a-z0-9]){0,29}")


def check_server_name(name: str) -> None:
    """1 to 30 characters, lower case letters and digits with single hyphens inside, a letter first."""
    if not 1 <= len(name) <= 30 or not _SERVER.fullmatch(name):
        raise Invalid(
            f"Invalid server name {name!r}: 1 to 30 lower case letters, digits and single hyphens, "
            "beginning with a letter and ending with a letter or digit"
        )


def check_display_name(name: str) -> None:
    if not 1 <= len(name) <= 255 or not unicodedata.normalize("NFC", name).isprintable():
        raise Invalid("A display name has 1 to 255 printable characters")
    if name != name.strip() or "  " in name:
        raise Invalid("A display name has no spaces at its ends and no two in a row")


def normalize_user_name(name: str) -> str:
    return name.strip().lower()


#: They would be other places than they say, as parts of a path, or in the proxy's table of routes.
_NO_SEGMENTS = frozenset({".", "..", "__proto__"})


def check_user_name(name: str) -> None:
    """Anything printable that can be one segment of a path."""
    if not _is_segment(name):
        raise Invalid(f"Invalid username: {name!r}")


def check_group_name(name: str) -> None:
    """As for users."""
    if not _is_segment(name):
        raise Invalid(f"Invalid group name: {name!r}")


def check_service_name(name: str) -> None:
    """JupyterHub's rule: one segment of a path, not only dots, the same when it is unescaped.

    Ours besides, as for users: printable, 255 characters at most, not `__proto__`.
    """
    if not _is_segment(name) or not name.strip(".") or unquote(name) != name:
        raise Invalid(f"Invalid service name: {name!r}")


def _is_segment(name: str) -> bool:
    if not 1 <= len(name) <= 255 or "/" in name or name != name.strip() or not name.isprintable():
        return False
    return not {name, unquote(name)} & _NO_SEGMENTS


def escape(name: str) -> str:
    """A user's name as one segment of a path."""
    return quote(name, safe="@~")


def prefix(base_url: str, user: str, server: str) -> str:
    """`/user/ada/`, `/user/ada/lab/`."""
    return f"{base_url}user/{escape(user)}/" + (f"{server}/" if server else "")


def client_id(user: str, server: str) -> str:
    """The OAuth client that a server is."""
    return f"jupyterhub-user-{quote(user)}" + (f"-{quote(server)}" if server else "")


def full_name(user: str, server: str) -> str:
    return f"{user}/{server}"
