"""Where to go next, as a request asks for it: never to another site (contract, part 5)."""

import re
from urllib.parse import SplitResult, quote, urlencode, urlsplit, urlunsplit

from aiohttp import web

from hubbub.web.request import GATE, browser_origin

LONGEST = 4096
_AS_IT_IS = "%/?#[]@!$&'()*+,;=:~|^`{}"
#: What stands in front of the domain in the name of a host of somebody's server.
_BELOW = re.compile(r"([a-z0-9_-]+\.)*")


def own_path(url: str, host: str, domain: str = "") -> str:
    r"""*url* as a path of this site, which browsers know as *host*; empty if it leads elsewhere.

    *domain*: of `subdomain_host`, with its port, if everybody has a host of their own. A path of such a host is taken
    for one of the hub's, which knows whose it is, and who may go there.

    Browsers take `\` for `/`, any number of leading slashes for two, and drop control characters.
    """
    url = url.strip().replace("\\", "%5C")
    if len(url) > LONGEST or not url.isprintable():
        return ""
    if url.startswith("//"):
        url = "//" + url.lstrip("/")
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if _is_ours(parts.netloc, host, domain) and parts.scheme in ("", "http", "https"):
        parts = SplitResult("", "", "/" + parts.path.lstrip("/"), parts.query, parts.fragment)
        url = urlunsplit(parts)
    elsewhere = parts.scheme or parts.netloc or url.startswith("//")
    return "" if elsewhere or not url.startswith("/") else quote(url, safe=_AS_IT_IS)


def _is_ours(netloc: str, host: str, domain: str) -> bool:
    netloc = netloc.lower()
    if not netloc or netloc == host.lower():
        return netloc.isascii() and bool(netloc)
    return bool(domain) and netloc.endswith(domain) and bool(_BELOW.fullmatch(netloc.removesuffix(domain)))


def ours(request: web.Request, url: str) -> str:
    """`own_path` of *url* for the browser that has sent *request*."""
    domain = urlsplit(request.app[GATE].options.hosts.subdomain_host).netloc
    return own_path(url, browser_origin(request)[1], domain)


def asked_for(request: web.Request) -> str:
    """The path that the argument `next` asks for, or nothing."""
    return ours(request, request.query.get("next", ""))


def with_query(url: str, *pairs: tuple[str, str]) -> str:
    """*url* with *pairs* added to its query, in front of its fragment."""
    if not pairs:
        return url
    path, mark, fragment = url.partition("#")
    return f"{path}{'&' if '?' in path else '?'}{urlencode(pairs)}{mark}{fragment}"


def keeping_query(url: str, request: web.Request, *without: str) -> str:
    """*url* with the query of *request*, except its arguments *without*, `next` and `_xsrf`."""
    dropped = {"next", "_xsrf", *without}
    return with_query(url, *((name, value) for name, value in request.query.items() if name not in dropped))
