"""URLs to listen at and to reach others by, as operators write them: checked, and put together from parts."""

from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit


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


#: What stands in a path as it is. More might, but not in the paths of cookies, nor in patterns of paths.
_PLAIN = "~@:&,="


def quoted(path: str) -> str:
    """*path* with everything quoted that has to be, whether it was before or not: `/jü lab/` is `/j%C3%BC%20lab/`.

    Raises BadAddress if it would be another path for some who read it.
    """
    segments = [unquote_to_bytes(segment) for segment in path.split("/")]
    if (
        not _is_text(b"".join(segments))
        or any(segment in (b".", b"..") or set(segment) & _NEVER for segment in segments)
        or b"" in segments[1:-1]
    ):
        raise BadAddress(f"{path!r} is not a path that everybody reads alike")
    return "/".join(quote(segment, safe=_PLAIN) for segment in segments)


def _is_text(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


_NEVER = frozenset([*range(32), 127, *b"/\\"])
