"""What clients send and get, as Structs: decoded into, encoded from, and described by the OpenAPI document.

Names and types are JupyterHub's (contract, part 2). A field that the asker may not see is left out (UNSET).
Resources with shapes of their own have them beside their handlers.
"""

from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from hubbub.domain.message import Json

T = TypeVar("T")


def needing(shape: Any, *names: str) -> Any:
    """*shape* as the body of an endpoint that refuses it without *names*, in words of its own."""
    return Annotated[shape, Meta(extra_json_schema={"required": list(names)})]


def some_of(shape: Any) -> Any:
    """*shape* as the body of an endpoint that refuses it when nothing is in it."""
    return Annotated[shape, Meta(extra_json_schema={"minProperties": 1})]


#: `2026-11-20T21:48:00.123456Z`
Stamp = Annotated[str, Meta(examples=["2026-11-20T21:48:00.123456Z"], extra_json_schema={"format": "date-time"})]


Offset = Annotated[int, Meta(description="How many to pass over.")]
Limit = Annotated[
    int, Meta(description="How many at most. The operator sets what it is unless told, and how much it can be.")
]


class Error(Struct):
    """Why not. `message` is null where JupyterHub gives none."""

    status: int
    message: str | None


class Server(Struct, kw_only=True):
    """A server. `name` is empty for the default one; `full_name` is `owner/name`.

    `pending` is what is under way; `ready` says that it can be visited, at `url`. `user_options` are what it was
    started with last. The `full_` addresses are null unless the hub knows its public one. `state`, which is for
    those who hold `admin:server_state`, is what the spawner needs to find it again.
    """

    name: str
    display_name: str
    full_name: str
    last_activity: Stamp | None
    started: Stamp | None
    pending: str | None
    ready: bool
    stopped: bool
    url: str
    user_options: Json | None
    progress_url: str
    full_url: str | None = None
    full_progress_url: str | None = None
    state: Json | UnsetType | None = UNSET


class User(Struct, kw_only=True):
    """A user. `server` is the address of their default server while it is ready, and `pending` what is under way with
    it; `servers` are those that are not stopped, by name, unless stopped ones are asked for too.
    """

    kind: str = "user"
    name: str
    admin: bool | UnsetType = UNSET
    user_info: Json | UnsetType | None = UNSET
    groups: list[str] | UnsetType = UNSET
    roles: list[str] | UnsetType = UNSET
    server: str | UnsetType | None = UNSET
    pending: str | UnsetType | None = UNSET
    created: Stamp | UnsetType | None = UNSET
    last_activity: Stamp | UnsetType | None = UNSET
    servers: dict[str, Server] | UnsetType = UNSET
    auth_state: Json | UnsetType | None = UNSET


class Service(Struct, kw_only=True):
    """A service. `url` is where it answers, `prefix` where visitors find it; `command` and `pid` are of one that
    the hub runs itself. `display`: whether it is shown to people.
    """

    kind: str = "service"
    name: str
    admin: bool | UnsetType = UNSET
    roles: list[str] | UnsetType = UNSET
    url: str | UnsetType | None = UNSET
    prefix: str | UnsetType = UNSET
    command: list[str] | UnsetType = UNSET
    pid: int | UnsetType = UNSET
    info: Json | UnsetType | None = UNSET
    display: bool | UnsetType | None = UNSET


class IdentifiedUser(User, kw_only=True):
    """What `GET /user` answers to a user: `token_id` is null for a cookie."""

    token_id: str | None
    session_id: str | None
    scopes: list[str]


class IdentifiedService(Service, kw_only=True):
    """What `GET /user` answers to a service."""

    token_id: str | None
    session_id: str | None
    scopes: list[str]


class Next(Struct):
    """The page after this one, and where to get it."""

    offset: int
    limit: int
    url: str


class Pagination(Struct):
    """Which page of how much this is. `next` is null on the last one."""

    offset: int
    limit: int
    total: int
    next: Next | None


class Paged(Struct, Generic[T]):
    """A page of a list, in its envelope."""

    items: T
    pagination: Pagination = msgspec.field(name="_pagination")


class Paging(Struct, kw_only=True):
    """The query of every list. Their signs do not matter, and `limit` is at most `api_page_max_limit`."""

    offset: Offset = 0
    limit: Limit | None = None
