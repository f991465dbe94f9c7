"""Where to go next, as a request asks for it: never to another site (contract, part 5)."""

from urllib.parse import SplitResult, quote, urlencode, urlsplit, urlunsplit

from aiohttp import web

from hubbub.web.request import GATE

LONGEST = 4096
_AS_IT_IS = "%/?#[]@!$&'()*+,;=:~|^`{}"


def own_path(url: str, host: str) -> str:
    r"""*url* as a path of this site, which browsers know as *host*; empty if it leads elsewhere.

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
    if parts.netloc and parts.netloc == host and parts.scheme in ("", "http", "https"):
        parts = SplitResult("", "", "/" + parts.path.lstrip("/"), parts.query, parts.fragment)
        url = urlunsplit(parts)
    elsewhere = parts.scheme or parts.netloc or url.startswith("//")
    return "" if elsewhere or not url.startswith("/") else quote(url, safe=_AS_IT_IS)


def asked_for(request: web.Request) -> str:
    """The path that the argument `next` asks for, or nothing."""
    public = urlsplit(request.app[GATE].options.hub.public_url).netloc
    return own_path(request.query.get("next", ""), public or request.host)


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
