"""One start of a server: where its time went, as bars over time and as a table, and the events that tell it."""

from dataclasses import dataclass

from aiohttp import web

from hubbub.access import Identity
from hubbub.web.pages import render
from hubbub_api.event_rights import Asked, subjects
from hubbub_api.keys import EVENTS
from hubbub_api.pages import story
from hubbub_api.pages.asking import logged_in, prefix_of
from hubbub_api.pages.card import when
from hubbub_api.pages.pending import reads_log
from hubbub_api.start_models import Phase, Start, Waterfall
from hubbub_api.start_words import said
from hubbub_api.starts import moment_of, starts_of, waterfall_of

#: Other starts of the same server, to compare; events of this one.
OTHERS, MOST_EVENTS = 10, 100

#: Who has a phase in hand: for its colour.
_HANDS = {
    "operator": ("turn", "scopes", "pre_spawn_start", "auth_state", "groups", "options", "pre_spawn_hook"),
    "spawner": ("making", "certificates", "start", "spawner"),
    "server": ("answer",),
    "proxy": ("route",),
}
HANDS = (
    ("hub", "the hub"),
    ("operator", "what the operator has written"),
    ("spawner", "the spawner"),
    ("server", "the server"),
    ("proxy", "the proxies"),
)
OUTCOMES = {
    "waiting": ("starting", "In line"),
    "starting": ("starting", "Starting"),
    "ready": ("running", "Reachable"),
    "failed": ("failed", "Did not start"),
    "cancelled": ("stopped", "Called off"),
    "lost": ("failed", "Lost"),
    "stopped": ("stopped", "Stopped"),
}
_STEPS = (1, 2, 2.5, 5, 10)
_TICKS = 5

#: Units across a picture of bars.
ACROSS = 1000


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A phase in the picture. `left`, `width`: of `ACROSS`. `took`: in words."""

    phase: Phase
    hand: str
    left: float
    width: float
    took: str
    longest: bool


@dataclass(frozen=True, kw_only=True)
class Axis:
    """`ends`: seconds at its right end; `ticks`: what stands at equal distances, from 0 on."""

    ends: float
    ticks: list[str]

    @property
    def lines(self) -> list[float]:
        return [place * ACROSS / (len(self.ticks) - 1) for place in range(1, len(self.ticks) - 1)]


@dataclass(frozen=True, kw_only=True)
class Other:
    """Another start of the server, with how long it took beside the longest of them."""

    start: Start
    asked: str
    took: str
    width: float
    look: str
    outcome: str
    here: bool


def routes(prefix: str) -> list[web.RouteDef]:
    return [
        web.get(f"{prefix}activity/{{owner}}/{{attempt}}", show),
        web.get(f"{prefix}activity/{{owner}}/{{name}}/{{attempt}}", show),
    ]


@logged_in
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    """For whoever may see the events of that server: its owner, and whoever has `read:events` for it."""
    owner, name = request.match_info["owner"], request.match_info.get("name", "")
    found = await subjects(request, identity, Asked(server=f"{owner}/{name}"))
    assert found is not None
    [server] = found
    fall = await waterfall_of(request, server, owner, name, request.match_info["attempt"])
    reads = request.app[EVENTS]
    # To the end of the start itself: what the server did later is another story.
    records = await reads.page(
        about=[server],
        after=fall.from_position - 1,
        before=fall.to_position + 1,
        limit=MOST_EVENTS,
        newest_first=False,
    )
    others = await starts_of(request, server, limit=OTHERS)
    axis = axis_of(fall.seconds)
    look, outcome = OUTCOMES[fall.outcome]
    return render(
        request,
        "start.html",
        identity,
        fall=fall,
        title=name or ("your server" if owner == identity.name else f"{owner}'s server"),
        base=f"{prefix_of(request)}activity/{story.place(owner, name)}/",
        path=f"users/{story.place(owner, '')}/servers/{name}" if name else f"users/{story.place(owner, '')}/server",
        activity=_back(request, identity, owner, name),
        follow=f"{owner}/{name}",
        look=look,
        outcome=outcome,
        asked=moment_of(fall.asked).strftime("%-d %b %Y, %H:%M:%S UTC"),
        axis=axis,
        bars=bars(fall, axis),
        hands=HANDS,
        across=ACROSS,
        days=await story.days(request, identity, await reads.models(records), found),
        others=_others(others.items, fall.attempt),
        reads=reads_log(identity, owner, name) and others.items[0].attempt == fall.attempt,
    )


def _back(request: web.Request, identity: Identity, owner: str, name: str) -> str:
    if owner == identity.name:
        return f"{prefix_of(request)}activity{story.query(server=name or '-')}"
    return f"{prefix_of(request)}admin/events{story.query(server=f'{owner}/{name}')}"


def bars(fall: Waterfall, axis: Axis) -> list[Bar]:
    """What goes on reaches to now."""
    taken = [(phase, (fall.seconds if phase.end is None else phase.end) - phase.begin) for phase in fall.phases]
    most = max((seconds for _, seconds in taken), default=0.0)
    return [
        Bar(
            phase=phase,
            hand=next((hand for hand, names in _HANDS.items() if phase.name in names), "hub"),
            left=round(min(phase.begin / axis.ends, 1) * ACROSS, 2),
            width=round(min(max(seconds, 0) / axis.ends, 1) * ACROSS, 2),
            took=said(max(seconds, 0)),
            longest=seconds == most,
        )
        for phase, seconds in taken
    ]


def axis_of(seconds: float) -> Axis:
    """From 0 to at least *seconds*, in about `_TICKS` steps of a round number."""
    least = max(seconds, 0.01) / _TICKS
    power = 10.0**-3
    while power * 10 < least:
        power *= 10
    step = next(power * step for step in _STEPS if power * step >= least * 0.999)
    count = max(1, -int(-(max(seconds, 0.01) * 0.999) // step))
    return Axis(ends=count * step, ticks=[f"{place * step:.3g} s" if place else "0" for place in range(count + 1)])


def _others(starts: list[Start], here: int) -> list[Other]:
    longest = max((each.seconds for each in starts), default=0) or 1
    return [
        Other(
            start=each,
            asked=when(moment_of(each.asked)),
            took=said(each.seconds),
            width=round(each.seconds / longest * ACROSS, 1),
            look=OUTCOMES[each.outcome][0],
            outcome=OUTCOMES[each.outcome][1],
            here=each.attempt == here,
        )
        for each in starts
    ]
