"""The shapes a server can have, and what each still owes the world."""

from datetime import datetime
from typing import Any, TypeAlias, TypeVar, assert_never

import msgspec

from hubbub.domain.message import State
from hubbub.domain.server_messages import Failure, Leftover, Reach

K = TypeVar("K", bound="Known")


class Absent(State, frozen=True, kw_only=True):
    """Never made, or deleted."""


class Known(State, frozen=True, kw_only=True):
    """`attempt`: the newest start that was ever asked for; 0 when none was; `profile`: what was chosen for it, "" for
    nothing. `leftovers`: earlier ones that are not known to have ended.
    """

    user: str
    name: str
    display_name: str = ""
    attempt: int = 0
    profile: str = ""
    leftovers: tuple[Leftover, ...] = ()

    def to(self, shape: type[K], **changes: Any) -> K:
        """This server in another shape: fields that both shapes have are kept unless changed."""
        shared = {field: getattr(self, field) for field in shape.__struct_fields__ if hasattr(self, field)}
        return shape(**{**shared, **changes})


class Stopped(Known, frozen=True, kw_only=True):
    """`failure`: why the last start came to nothing. `crashed`: exit status if it died by itself. `token`: the id of
    the API token that a sleeping workload still has.
    """

    failure: Failure | None = None
    crashed: str | None = None
    token: str | None = None


class Held(Known, frozen=True, kw_only=True):
    """What the active shapes share.

    `since`: when the start was wished for; `asker`: by whom. `holder` is null only while it waits for a worker: at
    first, and again when its holder is lost but others can get at it.
    """

    since: datetime
    pool: str
    prefix: str
    deadline: datetime
    retries: int = 0
    holder: str | None = None
    host: str | None = None
    token: str | None = None
    reach: Reach = "process"
    asker: str = ""


class Spawning(Held, frozen=True, kw_only=True):
    pass


class Started(Held, frozen=True, kw_only=True):
    url: str


class Running(Held, frozen=True, kw_only=True):
    """`deadline`: by when it should have been routed."""

    url: str
    version: str = ""


class Stopping(Held, frozen=True, kw_only=True):
    failure: Failure | None = None
    url: str = ""


Server: TypeAlias = Absent | Stopped | Spawning | Started | Running | Stopping


class StartProcess(msgspec.Struct, frozen=True, kw_only=True):
    attempt: int


class AwaitResponse(msgspec.Struct, frozen=True, kw_only=True):
    attempt: int
    url: str


class StopProcess(msgspec.Struct, frozen=True, kw_only=True):
    attempt: int


Effect: TypeAlias = StartProcess | AwaitResponse | StopProcess


def react(server: Server) -> Effect | None:
    """The next thing its holder owes the world, or None.

    A function of state alone, so that whoever holds the server next carries on where the last one fell.
    """
    if isinstance(server, Held) and not server.holder:
        return None
    match server:
        case Spawning():
            return StartProcess(attempt=server.attempt)
        case Started():
            return AwaitResponse(attempt=server.attempt, url=server.url)
        case Stopping():
            return StopProcess(attempt=server.attempt)
        case Absent() | Stopped() | Running():
            return None
        case _:
            assert_never(server)
