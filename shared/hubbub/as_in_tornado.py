"""A request of a browser's as a tornado handler would show it, for operators' code: the one that a start or an options
form goes back to (`spawner.handler`), or that a page is asked for with.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from hubbub.form_messages import File, WebRequest

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
_RAISE = object()


class MissingArgument(Exception):
    """There is no such argument."""

    status_code = 400

    def __init__(self, name: str) -> None:
        super().__init__(f"Missing argument {name}")
        self.log_message = f"Missing argument {name}"
        self.arg_name = name


class HTTPFile(dict[str, Any]):
    """`filename`, `content_type` and `body` (bytes), as items and as attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Headers(Mapping[str, str]):
    """By name in any case; several of one name are joined by commas."""

    def __init__(self, sent: Sequence[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in sent:
            self._values.setdefault(_usual(name), []).append(value)

    def __getitem__(self, name: str) -> str:
        return ",".join(self._values[_usual(name)])

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _usual(name) in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def get_list(self, name: str) -> list[str]:
        return list(self._values.get(_usual(name), ()))


class Request:
    """Arguments are bytes, in lists by name, as tornado has them. There is no body, and there are no cookies."""

    version = "HTTP/1.1"
    body = b""

    def __init__(self, sent: WebRequest, files: Mapping[str, Sequence[HTTPFile]]) -> None:
        self.method = sent.method
        self.path = sent.path
        self.query = sent.query
        self.uri = f"{sent.path}?{sent.query}" if sent.query else sent.path
        self.host = sent.host
        self.host_name = sent.host.rpartition(":")[0] if re.search(r":\d+$", sent.host) else sent.host
        self.protocol = sent.protocol
        self.remote_ip = sent.remote_ip
        self.headers = Headers(sent.headers)
        self.cookies: dict[str, Any] = {}
        self.files = {name: list(each) for name, each in files.items()}
        self.query_arguments = _bytes(parse_qs(sent.query, keep_blank_values=True))
        self.body_arguments = _bytes(sent.body)
        self.arguments = {name: list(values) for name, values in self.query_arguments.items()}
        for name, values in self.body_arguments.items():
            self.arguments.setdefault(name, []).extend(values)

    def full_url(self) -> str:
        return f"{self.protocol}://{self.host}{self.uri}"


class Handler:
    """What operators' code reads of a request. `current_user`: who asked, who need not be the server's owner."""

    def __init__(
        self, sent: WebRequest, current_user: Any, files: Mapping[str, Sequence[HTTPFile]] | None = None
    ) -> None:
        self.request = Request(sent, files or {})
        self.current_user = current_user

    def get_argument(self, name: str, default: Any = _RAISE, strip: bool = True) -> Any:  # noqa: FBT001, FBT002
        """The last one of that name. Without a *default* it has to be there: a 400 if it is not."""
        return _last(self.get_arguments(name, strip), name, default)

    def get_arguments(self, name: str, strip: bool = True) -> list[str]:  # noqa: FBT001, FBT002
        return _texts(self.request.arguments, name, strip=strip)

    def get_query_argument(self, name: str, default: Any = _RAISE, strip: bool = True) -> Any:  # noqa: FBT001, FBT002
        return _last(self.get_query_arguments(name, strip), name, default)

    def get_query_arguments(self, name: str, strip: bool = True) -> list[str]:  # noqa: FBT001, FBT002
        return _texts(self.request.query_arguments, name, strip=strip)

    def get_body_argument(self, name: str, default: Any = _RAISE, strip: bool = True) -> Any:  # noqa: FBT001, FBT002
        return _last(self.get_body_arguments(name, strip), name, default)

    def get_body_arguments(self, name: str, strip: bool = True) -> list[str]:  # noqa: FBT001, FBT002
        return _texts(self.request.body_arguments, name, strip=strip)

    def get_cookie(self, name: str, default: Any = None) -> Any:
        """Cookies stay with the hub."""
        return default


def files_of(sent: Mapping[str, Sequence[File]]) -> dict[str, list[HTTPFile]]:
    return {name: [_file(each) for each in files] for name, files in sent.items()}


def _file(sent: File) -> HTTPFile:
    return HTTPFile(filename=sent.filename, content_type=sent.content_type, body=sent.body)


def _usual(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


def _bytes(arguments: Mapping[str, Sequence[str]]) -> dict[str, list[bytes]]:
    return {name: [value.encode(errors="surrogateescape") for value in values] for name, values in arguments.items()}


def _texts(arguments: Mapping[str, Sequence[bytes]], name: str, *, strip: bool) -> list[str]:
    texts = [_CONTROL.sub(" ", value.decode(errors="replace")) for value in arguments.get(name, ())]
    return [text.strip() for text in texts] if strip else texts


def _last(values: Sequence[str], name: str, default: Any) -> Any:
    if values:
        return values[-1]
    if default is _RAISE:
        raise _missing(name)
    return default


def _missing(name: str) -> Exception:
    """The one that operators' code knows, where anybody has imported it."""
    tornado = sys.modules.get("tornado.web")
    found: Exception = tornado.MissingArgumentError(name) if tornado else MissingArgument(name)
    return found
