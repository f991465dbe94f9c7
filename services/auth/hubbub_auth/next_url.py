"""Where a browser may be sent after a login: only to a path of this host (contract, part 5)."""

from collections.abc import Sequence
from urllib.parse import urlencode, urlsplit

LONGEST = 4096


def safe(wanted: str, *, protocol: str, host: str) -> str:
    """*wanted* as a path of this host; empty if it is relative, foreign, or anything a browser could misread.

    *protocol* and *host* are those of the browser's address bar.
    """
    if len(wanted) > LONGEST or any(character < " " or character == "\x7f" for character in wanted):
        return ""  # browsers drop tabs and line ends, so that what they follow is not what was looked at
    path = wanted.replace("\\", "%5C")  # browsers read a backslash as a slash
    if path.startswith("///"):
        path = "//" + path.lstrip("/")  # browsers read three slashes as two, urlsplit does not
    if f"{path}/".startswith((f"{protocol}://{host}/", f"//{host}/")):
        path = _without_host(path)
    return path if _is_path(path) else ""


def _without_host(url: str) -> str:
    rest = url.partition("//")[2].partition("/")[2]
    return "/" + rest.lstrip("/")


def _is_path(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return url.startswith("/") and not url.startswith("//") and not parts.scheme and not parts.netloc


def default(hub_prefix: str, query: Sequence[tuple[str, str]], *, to_server: bool) -> str:
    """Where to go if nothing was wanted: the hub's root, which knows about servers, or the home page.

    *query* is that of the login's own address; what is not about the login itself goes along.
    """
    path = hub_prefix if to_server else f"{hub_prefix}home"
    kept = [(name, value) for name, value in query if name not in ("next", "_xsrf")]
    return f"{path}?{urlencode(kept)}" if kept else path
