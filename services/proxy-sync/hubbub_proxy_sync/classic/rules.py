"""Rules of Traefik for a path: whoever comes there, by whatever spelling, and nobody else.

Traefik compares paths in which unreserved characters are plain, and reserved ones as the client has sent them, quoted
or not. A rule with the plain path of somebody called `100%25` would be true of the address of somebody called `100%`.
"""

import json
import re
from urllib.parse import quote, unquote

#: By RFC 3986; a path may hold them as they are.
_RESERVED = "!$&'()*+,;=:@[]"
#: Never plain in a path, since they mean something else there.
_QUOTED = "%/?#"
#: What `encodeURIComponent` leaves alone of the reserved ones, and what JupyterHub does.
_OF_BROWSERS, _OF_JUPYTERHUB = "!'()*", "@"
_PLAIN = re.compile(r"[^\x00-\x1f`\x7f]*")


def rule(routespec: str) -> str:
    """Of a route, e.g. `/user/ada/` or `ada.example.org/user/ada/`: for all below it, and for it without its slash."""
    host, slash, path = routespec.partition("/")
    spellings = dict.fromkeys(
        spelled(f"{slash}{path}", plain) for plain in (_OF_JUPYTERHUB, _RESERVED, "", _OF_BROWSERS)
    )
    prefixes = [f"PathPrefix({_text(each)})" for each in spellings]
    exact = [f"Path({_text(bare)})" for each in spellings if (bare := each.rstrip("/"))]
    found = " || ".join([*prefixes, *exact])
    if not host:
        return found
    return f"Host({_text(host)}) && ({found})"


def spelled(path: str, plain: str) -> str:
    """*path* as Traefik compares it if a client leaves these reserved characters as they are, and quotes the others."""
    kept = set(_RESERVED + _QUOTED) - set(plain) - {"/"}
    parts = [unquote(part, errors="strict") for part in path.split("/")]
    return "/".join("".join(quote(each, safe="") if each in kept else each for each in part) for part in parts)


def _text(value: str) -> str:
    """A literal of Go: in backticks nothing is quoted, and carriage returns are lost."""
    return f"`{value}`" if _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)
