"""URLs to listen at and to reach others by, as operators write them: checked, and put together from parts."""

from urllib.parse import SplitResult, urlsplit


class BadAddress(ValueError):
    """It is not a URL that can be listened at or reached."""


def parsed(url: str) -> SplitResult:
    """*url* in its parts. Raises BadAddress with a sentence."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadAddress(f"{url!r} is not an address: {error}") from None
    if parts.scheme not in ("http", "https") or port == 0:
        raise BadAddress(f"{url!r} is not an address like http://127.0.0.1:8000")
    return parts


def netloc(ip: str, port: int | None) -> str:
    """`127.0.0.1:8000`, `[::1]:8000`, or `:8000` for every address of the machine."""
    host = f"[{ip}]" if ":" in ip and not ip.startswith("[") else ip
    return host if port is None else f"{host}:{port}"


def slashed(path: str, *, leading: bool = False) -> str:
    """*path* with a slash at its end, and one in front if *leading*."""
    path = path if path.endswith("/") else f"{path}/"
    return f"/{path}" if leading and not path.startswith("/") else path
