"""A server as a page shows it: what it is called, how it is, and where its buttons lead."""

from dataclasses import dataclass, replace
from datetime import datetime

from hubbub.config import Options
from hubbub.domain.names import escape, prefix
from hubbub.domain.server_states import Stopped
from hubbub.web.next_url import with_query
from hubbub_api.house import Notice
from hubbub_api.rows import ServerRow

CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True)
class Card:
    """`state`: stopped, starting, running, stopping or failed. `path`: below the API. `note`: what went wrong,
    if it did; `html`, if not empty, the same as the operator's code wants it shown. `notice`: its worker is to end.
    `story_url`: of what has happened to it, of its latest start alone if that failed; empty if it is somebody else's.
    """

    owner: str
    name: str
    title: str
    state: str
    note: str
    html: str
    url: str
    path: str
    spawn_url: str
    pending_url: str
    share_url: str
    story_url: str
    notice: Notice | None = None

    @property
    def key(self) -> str:
        """Tells its elements on the page from those of other servers, whatever those are called."""
        return f"server-{self.name}" if self.name else "default"

    @property
    def pending(self) -> bool:
        return self.state in ("starting", "stopping")

    def with_html(self, html: str) -> "Card":
        return replace(self, html=html)


def card(
    row: ServerRow | None,
    owner: str,
    name: str,
    options: Options,
    *,
    viewer: str,
    then: str = "",
    notice: Notice | None = None,
) -> Card:
    """*row* None: a server that was never made. *then*: where its owner wants to go once it runs."""
    who = escape(owner)
    place = f"{who}/{escape(name)}" if name else who
    after = [("next", then)] if then else []
    return Card(
        owner=owner,
        name=name,
        title=_title(row, owner, name, viewer),
        state=_state(row),
        note=_note(row),
        html=row.failure.html if row and row.failure and failure_of(row) else "",
        url=options.hosts.link(owner, (row.prefix if row else None) or prefix(options.base_url, owner, name)),
        path=f"users/{who}/servers/{escape(name)}" if name else f"users/{who}/server",
        spawn_url=with_query(f"{options.hub_prefix}spawn/{place}", *after),
        pending_url=with_query(f"{options.hub_prefix}spawn-pending/{place}", *after),
        share_url=f"{options.hub_prefix}sharing/{place}",
        story_url=_story(row, f"{options.hub_prefix}activity", place) if owner == viewer else "",
        notice=notice,
    )


def _story(row: ServerRow | None, activity: str, place: str) -> str:
    if row and row.attempt and failure_of(row):
        return f"{activity}/{place}/{row.attempt}"
    return with_query(activity, ("server", (row and row.name) or "-"))


def _title(row: ServerRow | None, owner: str, name: str, viewer: str) -> str:
    whose = "Your server" if owner == viewer else f"{owner}'s server"
    if not name:
        return whose
    shown = (row and row.display_name) or name
    return shown if owner == viewer else f"{whose} {shown}"


def _state(row: ServerRow | None) -> str:
    if row is None:
        return "stopped"
    if row.ready:
        return "running"
    if row.pending:
        return {"spawn": "starting", "stop": "stopping"}[row.pending]
    return "failed" if failure_of(row) else "stopped"


def failure_of(row: ServerRow | None) -> str:
    """Why the last start came to nothing; that somebody called it off is no failure."""
    failure = row.failure if row else None
    if failure is None or failure.reason == CANCELLED:
        return ""
    return failure.message or "The server did not start, and nobody knows why."


def _note(row: ServerRow | None) -> str:
    if row and isinstance(row.state, Stopped) and row.state.crashed is not None and not row.failure:
        status = f" (status {row.state.crashed})" if row.state.crashed else ""
        return f"It ended by itself{status}."
    return failure_of(row)


def when(time: datetime) -> str:
    """`21 Nov 2026, 10:38 UTC`"""
    return time.strftime("%-d %b %Y, %H:%M UTC")


def label(owner: str, name: str) -> str:
    """A server among those of many: `ada`, `ada/lab`; without an owner it is a managed service."""
    if not owner:
        return f"Service {name}"
    return f"{owner}/{name}" if name else owner
