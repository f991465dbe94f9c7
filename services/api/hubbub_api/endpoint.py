"""A table of endpoints: one declaration for what is routed and for what the OpenAPI document says of it."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiohttp import web

#: Bytes of a request's body, unless its endpoint says otherwise.
LARGEST_BODY = 1024**2
#: Of one with thousands of names in it.
LONG_LIST = 10 * 1024**2

H = TypeVar("H", bound=Callable[[web.Request], Awaitable[web.StreamResponse]])


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """`path` is relative to the API's address, with aiohttp's patterns.

    `scopes`: any one is enough (empty: what the handler's docstring says). `body` and `query`: Structs that the
    handler reads them as. `answers`: the type of the body by status, None for an empty one, or for a refusal of
    the usual kind; refusals that every endpoint may give (400, 403, 404, 413, 422, 503) need not be named.
    `takes` and `content`: media types of body and answer. `open`: needs no identity.
    `largest`: bytes of a body, unpacked.
    """

    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    tag: str
    scopes: tuple[str, ...] = ()
    body: Any = None
    query: Any = None
    answers: Mapping[int, Any] = field(default_factory=lambda: {200: None})
    takes: str = "application/json"
    content: str = "application/json"
    open: bool = False
    largest: int = LARGEST_BODY
    deprecated: bool = False


class Endpoints:
    """The endpoints of one resource, in order of registration."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._all: list[Endpoint] = []

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._all)

    def route(self, method: str, path: str, **about: Any) -> Callable[[H], H]:
        """Register the handler below; *about*: the fields of `Endpoint`."""

        def register(handler: H) -> H:
            self._all.append(Endpoint(method=method, path=path, handler=handler, tag=self._tag, **about))
            return handler

        return register

    def get(self, path: str, **about: Any) -> Callable[[H], H]:
        return self.route("GET", path, **about)

    def post(self, path: str, **about: Any) -> Callable[[H], H]:
        return self.route("POST", path, **about)

    def put(self, path: str, **about: Any) -> Callable[[H], H]:
        return self.route("PUT", path, **about)

    def patch(self, path: str, **about: Any) -> Callable[[H], H]:
        return self.route("PATCH", path, **about)

    def delete(self, path: str, **about: Any) -> Callable[[H], H]:
        return self.route("DELETE", path, **about)
