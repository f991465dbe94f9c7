"""Users and servers as rows of the views, with what is derived from them."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg
import msgspec

from hubbub.domain.server_messages import Failure
from hubbub.domain.server_states import Held, Known, Running, Server, Spawning, Started, Stopped, Stopping

_STATE = msgspec.json.Decoder(Server)


@dataclass(frozen=True, kw_only=True, eq=False)
class ServerRow:
    """`options`: the user options as the vault has them (see `Views.options`)."""

    id: str
    number: int
    user_id: str
    owner: str
    state: Known
    ready: bool
    last_activity: datetime | None
    options: bytes | None

    @property
    def name(self) -> str:
        return self.state.name

    @property
    def display_name(self) -> str:
        return self.state.display_name or self.state.name

    @property
    def kind(self) -> str:
        return type(self.state).__name__

    @property
    def attempt(self) -> int:
        return self.state.attempt

    @property
    def active(self) -> bool:
        return not isinstance(self.state, Stopped)

    @property
    def holder(self) -> str | None:
        return self.state.holder if isinstance(self.state, Held) else None

    @property
    def prefix(self) -> str | None:
        return self.state.prefix if isinstance(self.state, Held) else None

    @property
    def url(self) -> str | None:
        return self.state.url if isinstance(self.state, Started | Running) else None

    @property
    def since(self) -> datetime | None:
        return self.state.since if isinstance(self.state, Held) else None

    @property
    def failure(self) -> Failure | None:
        return self.state.failure if isinstance(self.state, Stopped | Stopping) else None

    @property
    def failure_status(self) -> int:
        """Of an answer that tells of the failure: an error's, whatever the spawner calls it. 200 if there is none."""
        if self.failure is None:
            return 200
        return self.failure.status if 400 <= self.failure.status < 600 else 500

    @property
    def pending(self) -> str | None:
        """Running but not yet routed everywhere is still a spawn to whoever waits for it."""
        if isinstance(self.state, Spawning | Started) or (isinstance(self.state, Running) and not self.ready):
            return "spawn"
        return "stop" if isinstance(self.state, Stopping) else None


@dataclass(frozen=True, kw_only=True)
class UserRow:
    """`granted`: the roles that the user holds besides those that everybody and every administrator has.

    `auth_state`, `user_info`: as the vault has them (`Views.auth_state`, `Views.infos`); lists leave the former out.
    """

    id: str
    number: int
    name: str
    admin: bool
    created: datetime | None
    last_activity: datetime | None
    groups: list[str]
    granted: list[str]
    auth_state: bytes | None = None
    user_info: bytes | None = None


def server_of(row: asyncpg.Record, prefix: str = "") -> ServerRow:
    state = _STATE.decode(row[f"{prefix}state"])
    assert isinstance(state, Known)
    return ServerRow(
        id=row[f"{prefix}id"],
        number=row[f"{prefix}number"],
        user_id=state.user,
        owner=row[f"{prefix}owner"],
        state=state,
        ready=row[f"{prefix}ready"],
        last_activity=row[f"{prefix}last_activity"],
        options=row[f"{prefix}options"],
    )


def untouched(owner: UserRow) -> ServerRow:
    """The default server of somebody who has never had one: everybody has one, of which nothing is stored (no id)."""
    state = Stopped(user=owner.id, name="")
    return ServerRow(
        id="", number=0, user_id=owner.id, owner=owner.name, state=state, ready=False, last_activity=None, options=None
    )


def user_of(row: asyncpg.Record) -> UserRow:
    return UserRow(**{field: row[field] for field in UserRow.__dataclass_fields__ if field in row})
