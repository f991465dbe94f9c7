"""HTML that an operator has written into a page: its scripts run, and nobody else's would.

Our own pages allow no inline script at all. On a page with an operator's HTML each `<script>` of theirs gets the nonce
of this one answer, and each handler in an attribute (`onclick="..."`) is allowed by its hash. What they load from
elsewhere (pictures, styles, data) is let through: who may write a script could do that anyway.
"""

import base64
import hashlib
import secrets
from collections.abc import Iterable
from html.parser import HTMLParser
from itertools import accumulate, pairwise

from aiohttp import web

from hubbub.web.request import GATE

CSP = "Content-Security-Policy"
_SCRIPT = "<script"
#: Of the answer to a request, once something of an operator's is on it.
_OWN = web.RequestKey("operators_html", object)


class _Scripts(HTMLParser):
    """`places`: where a script tag's attributes begin. `handlers`: the scripts in attributes."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.places: list[int] = []
        self.handlers: list[str] = []
        self._lines = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handlers += [value or "" for name, value in attrs if name.startswith("on")]
        # Twice is never: a script with an attribute twice is one that browsers do not trust.
        if tag == "script" and "nonce" not in dict(attrs):
            line, column = self.getpos()
            self.places.append(self._lines[line - 1] + column + len(_SCRIPT))

    handle_startendtag = handle_starttag


class _Own:
    def __init__(self) -> None:
        self.nonce = secrets.token_urlsafe(16)
        self.handlers: set[str] = set()


def marked(source: str) -> tuple[str, set[str]]:
    """An operator's template, each of whose scripts gets the page's nonce when it is rendered (`csp_nonce`); and the
    hashes of its handlers. Nothing that is put into the page then is taken for the operator's.
    """
    found = _Scripts(source)
    pieces = [source[begin:end] for begin, end in pairwise([0, *found.places, len(source)])]
    return ' nonce="{{ csp_nonce }}"'.join(pieces), {_hash(handler) for handler in found.handlers}


def own(request: web.Request, handlers: Iterable[str] = ()) -> str:
    """The nonce of the page that answers *request*, which has something of the operator's on it. *handlers*: hashes."""
    there = request.get(_OWN)
    if not isinstance(there, _Own):
        there = request[_OWN] = _Own()
    there.handlers.update(handlers)
    return there.nonce


def embed(request: web.Request, *texts: str) -> list[str]:
    """*texts*, an operator's HTML, as they may stand on the page that answers *request*: see `policy`."""
    if not any(texts):
        return list(texts)
    done = []
    for text in texts:
        found = _Scripts(text)
        nonce = own(request, map(_hash, found.handlers))
        pieces = [text[begin:end] for begin, end in pairwise([0, *found.places, len(text)])]
        done.append(f' nonce="{nonce}"'.join(pieces))
    return done


def policy(request: web.Request) -> dict[str, str]:
    """The header of the page that answers *request*, which lets work what was embedded in it; none if nothing was.

    Nor if the operator has a policy of their own (`c.JupyterHub.tornado_settings["headers"]`): that one stays.
    """
    there = request.get(_OWN)
    theirs = request.app[GATE].options.hub.tornado_settings.get("headers", {})
    if not isinstance(there, _Own) or CSP.lower() in (name.lower() for name in theirs):
        return {}
    return {CSP: _policy(request, there.nonce, sorted(there.handlers))}


def _hash(handler: str) -> str:
    return base64.b64encode(hashlib.sha256(handler.encode()).digest()).decode()


def _policy(request: web.Request, nonce: str, handlers: Iterable[str]) -> str:
    hashes = "".join(f" 'sha256-{each}'" for each in handlers)
    scripts = f"'self' 'nonce-{nonce}'" + (f" 'unsafe-hashes'{hashes}" if hashes else "")
    return (
        f"frame-ancestors 'none'; report-uri {request.app[GATE].options.hub_prefix}security/csp-report; "
        f"default-src 'self'; script-src {scripts}; style-src * 'unsafe-inline'; img-src * data: blob:; "
        "font-src * data:; connect-src *; object-src 'none'; base-uri 'self'"
    )
