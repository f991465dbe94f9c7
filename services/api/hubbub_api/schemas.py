"""What clients send and get, as Structs: decoded into, encoded from, and described by the OpenAPI document.

Names and types are JupyterHub's (contract, part 2). A field that the asker may not see is left out (UNSET).
Resources with shapes of their own have them beside their handlers.
"""

from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from hubbub.domain.message import Json

T = TypeVar("T")

#: `2026-11-20T21:48:00.123456Z`
Stamp = Annotated[str, Meta(examples=["2026-11-20T21:48:00.123456Z"])]


class Error(Struct):
    """`message` is null where JupyterHub gives none."""

    status: int
    message: str | None


class Server(Struct, kw_only=True):
    """`name` is empty for the default server; `pending` is what is under way."""

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
    offset: int
    limit: int
    url: str


class Pagination(Struct):
    offset: int
    limit: int
    total: int
    next: Next | None


class Paged(Struct, Generic[T]):
    items: T
    pagination: Pagination = msgspec.field(name="_pagination")


class Paging(Struct, kw_only=True):
    """The query of every list. Their signs do not matter, and `limit` is at most `api_page_max_limit`."""

    offset: int = 0
    limit: int | None = None


class Nothing(Struct):
    """A body in which nothing is looked at."""
