"""A server as a line in the admin room: how it is, and what whoever looks may do with it."""

from dataclasses import dataclass
from datetime import datetime

from hubbub.access import Identity
from hubbub.config import Options
from hubbub.domain.names import escape
from hubbub_api.pages.card import Card, card
from hubbub_api.rows import ServerRow


@dataclass(frozen=True, kw_only=True)
class Line:
    """`title`: of the server alone, without its owner's name. `since`: when the start that is under way, or that came
    to this, was asked for. `story`: where its newest start is told; empty if there is none, or none that may be read.
    """

    card: Card
    title: str
    since: datetime | None
    story: str
    may_start: bool
    may_stop: bool
    may_open: bool

    @property
    def key(self) -> str:
        return f"{self.card.owner}/{self.card.name}"

    @property
    def active(self) -> bool:
        return self.card.state not in ("stopped", "failed")


def line(row: ServerRow | None, owner: str, name: str, options: Options, viewer: Identity) -> Line:
    """*row* None: of a default server that was never made."""
    return Line(
        card=card(row, owner, name, options, viewer=viewer.name),
        title=((row and row.display_name) or name) if name else "Default server",
        since=row.since if row else None,
        story=_story(row, owner, name, options, viewer),
        may_start=viewer.may("start:servers", user=owner, server=name),
        may_stop=viewer.may("delete:servers", user=owner, server=name),
        may_open=viewer.may("access:servers", user=owner, server=name),
    )


def _story(row: ServerRow | None, owner: str, name: str, options: Options, viewer: Identity) -> str:
    if row is None or not row.attempt or not viewer.may("read:events", user=owner, server=name):
        return ""
    place = f"{escape(owner)}/{escape(name)}" if name else escape(owner)
    return f"{options.hub_prefix}activity/{place}/newest"


def lines(rows: list[ServerRow], owner: str, options: Options, viewer: Identity) -> list[Line]:
    """Of the default server, made or not, and the named ones in order: those that *viewer* may see."""
    by_name: dict[str, ServerRow | None] = {"": None, **{row.name: row for row in rows}}
    return [
        line(by_name[name], owner, name, options, viewer)
        for name in sorted(by_name)
        if viewer.may("read:servers", user=owner, server=name)
    ]


def may_administer(viewer: Identity, user: str, *, admin: bool) -> bool:
    """Whether *viewer* may change *user*: administrators are changed by administrators alone."""
    return viewer.may("admin:users", user=user) and (viewer.admin or not admin)
