"""GET, PATCH /house: pausing starts, and the banner on every page. JupyterHub has no such thing.

Pages of the hub do the same by `change`; what they show comes from `hubbub.house.HouseNow`, which asks nobody.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from hubbub import house
from hubbub.domain import house as domain
from hubbub.domain.house import (
    Drain,
    HouseCommand,
    HouseState,
    Kind,
    Paused,
    PauseStarts,
    PutBanner,
    ResumeStarts,
    TakeBanner,
)
from hubbub.domain.message import Invalid
from hubbub.eventlog import Context
from hubbub.transaction import Transaction
from hubbub.web.request import NO_CREDENTIALS, ApiError, identify, require
from hubbub_api.answers import answer, asked, stamp
from hubbub_api.commit import commit
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import COMMITTER, HOUSE, POOL
from hubbub_api.rows import ServerRow
from hubbub_api.schemas import Stamp, some_of
from hubbub_api.views import Views

routes = Endpoints("operation")

SCOPE = "admin-ui"

#: A time of which it is clear when that is.
Moment = Annotated[datetime, Meta(tz=True)]


class Banner(msgspec.Struct, kw_only=True):
    """Plain text for everybody. `until`: when it goes by itself; null for never."""

    text: str
    kind: Kind
    since: Stamp
    until: Stamp | None


class Draining(msgspec.Struct, kw_only=True):
    """`deadline`: when what the worker still has is stopped; null for never. `message`: for those whose it is."""

    worker: str
    since: Stamp
    deadline: Stamp | None
    message: str


class House(msgspec.Struct, kw_only=True):
    """How the hub is run at the moment. `reason`, `since`: of the pause. `banner`: the one that is shown now.
    `draining`, for those who hold `admin-ui`: workers that take nothing more.
    """

    paused: bool
    reason: str | None
    since: Stamp | None
    banner: Banner | None
    draining: list[Draining] | UnsetType = UNSET


class NewBanner(msgspec.Struct, kw_only=True):
    """Plain text, 1000 characters at most; line breaks are kept."""

    text: str
    kind: Kind = "info"
    until: Moment | None = None


class ChangedHouse(msgspec.Struct, kw_only=True):
    """At least one of them. `reason`: of the pause, told to whoever would like to start something. `banner`: null takes
    it away.
    """

    paused: bool | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    banner: NewBanner | UnsetType | None = UNSET


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Said to somebody of a server of theirs. `deadline`: when it will be stopped; null if nobody has said. `message`:
    why. `elsewhere`: it could be started again at once, and would run on another machine. `keeps`: they can put it off.
    `told_from`: before that it is good to know, and no warning.
    """

    server: str
    deadline: datetime | None
    message: str
    elsewhere: bool = False
    keeps: bool = False
    told_from: datetime | None = None

    @property
    def warns(self) -> bool:
        return self.told_from is None or self.told_from <= datetime.now(UTC)


@routes.get("/house", answers={200: House})
async def show(request: web.Request) -> web.Response:
    """Says whether starts are paused, and what the banner is, to whoever is known. JupyterHub has no such thing."""
    identity = await identify(request)
    if identity is None:
        raise ApiError(403, NO_CREDENTIALS)
    return answer(model_of(await house.read(request.app[POOL]), request, whole=identity.may(SCOPE)))


@routes.patch("/house", scopes=(SCOPE,), body=some_of(ChangedHouse), answers={200: House})
async def patch(request: web.Request) -> web.Response:
    """Pauses starts or has them go on, puts up a banner or takes it away. What runs goes on, and so does what was asked
    for before. JupyterHub has no such thing.
    """
    identity = require(await identify(request), SCOPE)
    body = await asked(request, ChangedHouse)
    if body == ChangedHouse():
        raise ApiError(400, "Nothing to change: give paused, reason or banner")

    async def act(tx: Transaction) -> HouseState:
        for command in _commands(body, await house.of(tx), tx.now):
            await tx.act(*house.KEY, command)
        return await house.of(tx)

    async def render(_: Views, state: HouseState) -> web.Response:
        return answer(model_of(state, request, whole=True))

    response = await commit(request, identity, act, render, [house.KEY])
    await request.app[HOUSE].load(request.app[POOL])
    return response


def _commands(body: ChangedHouse, state: HouseState, now: datetime) -> Sequence[HouseCommand]:
    found: list[HouseCommand] = []
    paused = isinstance(state, Paused) if body.paused is UNSET else body.paused
    if paused and (body.paused is not UNSET or body.reason is not UNSET):
        known = state.reason if isinstance(state, Paused) else ""
        found.append(PauseStarts(at=now, reason=known if body.reason is UNSET else body.reason))
    elif body.reason is not UNSET and body.reason:
        raise Invalid("reason: starts are not paused")
    elif body.paused is not UNSET:
        found.append(ResumeStarts())
    if body.banner is None:
        found.append(TakeBanner())
    elif body.banner is not UNSET:
        if body.banner.until is not None and body.banner.until <= now:
            raise Invalid("until: that is over already")
        found.append(PutBanner(at=now, text=body.banner.text, kind=body.banner.kind, until=body.banner.until))
    return found


async def change(app: web.Application, actor: str, *commands: HouseCommand) -> HouseState:
    """Carry out *commands* as *actor* (`Identity.actor`); how the house is then. Raises Rejected."""

    async def body(tx: Transaction) -> HouseState:
        for command in commands:
            await tx.act(*house.KEY, command)
        return await house.of(tx)

    state: HouseState = await app[COMMITTER].submit(body, Context.of(actor), [house.KEY])
    await app[HOUSE].load(app[POOL])
    return state


def model_of(state: HouseState, request: web.Request, *, whole: bool) -> House:
    """*whole*: with what only operators need to know."""
    return House(
        paused=isinstance(state, Paused),
        reason=state.reason if isinstance(state, Paused) else None,
        since=stamp(state.since) if isinstance(state, Paused) else None,
        banner=_banner(state.banner_at(request.app[HOUSE].now())),
        draining=[draining_of(drain) for drain in state.draining] if whole else UNSET,
    )


def _banner(shown: domain.Banner | None) -> Banner | None:
    if shown is None:
        return None
    return Banner(text=shown.text, kind=shown.kind, since=_stamp(shown.since), until=stamp(shown.until))


def draining_of(drain: Drain) -> Draining:
    return Draining(
        worker=drain.worker, since=_stamp(drain.since), deadline=stamp(drain.deadline), message=drain.message
    )


def notices_for(app: web.Application, servers: Iterable[ServerRow]) -> list[Notice]:
    """What those of *servers* are told whose worker is draining. Nothing if nothing will happen to them, and nobody has
    anything to say.
    """
    found = []
    for server in servers:
        drain = app[HOUSE].drain_of(server.holder)
        if drain and (drain.deadline or drain.message) and server.kind != "Stopping":
            found.append(Notice(server=server.name, deadline=drain.deadline, message=drain.message, elsewhere=True))
    return found


def _stamp(time: datetime) -> Any:
    return stamp(time)
