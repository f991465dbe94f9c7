"""What the world sees of an event: the same JSON by REST, in the stream and in webhooks."""

from collections.abc import Mapping
from typing import Any

import msgspec

from hubbub.domain.message import Event, Unknown
from hubbub.domain.session import SessionClosed
from hubbub.eventlog import Recorded
from hubbub.vault import FORGOTTEN
from hubbub_api.answers import stamp
from hubbub_api.event_words import sentence


class Who(msgspec.Struct, frozen=True):
    """A user or group: its name as of now, `(forgotten)` of a user who is no more."""

    id: str
    name: str


class WhichServer(msgspec.Struct, frozen=True):
    """A server; `name` is empty for a default one, `user` the name of its owner, empty for a managed service."""

    id: str
    name: str
    user: str


class Actor(msgspec.Struct, frozen=True):
    """Who did it: a `user`, `service`, `worker` or `proxy`, or the `system`, whose part `name` tells."""

    kind: str
    id: str
    name: str


class EventModel(msgspec.Struct, frozen=True, kw_only=True):
    """What has happened. `id`: `<epoch>:<position>`, for `Last-Event-ID`. `subject`: the id of what it happened to, an
    `aggregate`; `version`: its number among the events of that. `text`: a sentence for people.

    `user`, `server`, `group`: whom it is about. `command`: what caused it; `causation`: the command before that;
    `correlation`: the conversation that all of it belongs to; `trace`: the id of the trace. `data`: its own fields.
    """

    position: int
    id: str
    at: str
    type: str
    aggregate: str
    subject: str
    version: int
    text: str
    user: Who | None
    server: WhichServer | None
    group: Who | None
    actor: Actor
    correlation: str
    causation: str
    command: str
    trace: str
    data: dict[str, Any]


#: By id.
Names = Mapping[str, Who | WhichServer | None]


#: Fields of events that are shown; see `HIDDEN` for the rest.
SHOWN = frozenset(
    {
        "address",
        "admin",
        "agent",
        "api_url",
        "asker",
        "at",
        "attempt",
        "client",
        "count",
        "deadline",
        "declared",
        "description",
        "display_name",
        "expires_at",
        "failure",
        "forced",
        "grants",
        "group",
        "holder",
        "host",
        "how",
        "kind",
        "message",
        "name",
        "note",
        "pool",
        "profile",
        "prefix",
        "proxy",
        "reach",
        "reason",
        "redirect_uri",
        "resumes",
        "retries",
        "role",
        "routes",
        "scopes",
        "server",
        "service",
        "session",
        "since",
        "source",
        "spent",
        "spec",
        "status",
        "target",
        "text",
        "token",
        "took",
        "until",
        "url",
        "user",
        "version",
        "worker",
    }
)
#: Secrets, and what somebody with a guess could prove it by. What operators keep about groups may be anything.
HIDDEN = frozenset({"hash", "challenge", "challenge_method", "properties"})


def data_of(event: Event, actor: str) -> dict[str, Any]:
    """Its fields that may be shown. Of what cannot be read nothing: something may be sealed in it.

    Who had a session of theirs ended by somebody else (*actor*) is not shown where that one was.
    """
    if isinstance(event, Unknown):
        return {}
    fields = {name: getattr(event, name) for name in event.__struct_fields__ if name in SHOWN}
    if isinstance(event, SessionClosed) and actor != f"user:{event.user}":
        del fields["address"]
    found: dict[str, Any] = msgspec.to_builtins(fields)
    return found


def model(record: Recorded, event: Event, names: Names, groups: frozenset[str], epoch: str) -> EventModel:
    """*groups*: which of the ids in *names* are those of groups."""
    context = record.context
    known = [(id, names[id]) for id in record.about if names.get(id) is not None]
    server = next((name for _, name in known if isinstance(name, WhichServer)), None)
    user = next((name for id, name in known if isinstance(name, Who) and id not in groups), None)
    group = next((name for id, name in known if isinstance(name, Who) and id in groups), None)
    actor = actor_of(context.actor, names)
    return EventModel(
        position=record.position,
        id=f"{epoch}:{record.position}",
        at=stamp(record.recorded_at) or "",
        type=record.type,
        aggregate=record.kind,
        subject=record.id,
        version=record.version,
        text=sentence(record, event, actor, user, server, group),
        user=user,
        server=server,
        group=group,
        actor=actor,
        correlation=context.correlation,
        causation=context.causation,
        command=context.command,
        trace=context.traceparent.split("-")[1] if context.traceparent.count("-") == 3 else "",
        data=data_of(event, context.actor),
    )


#: What everybody may hear of: that pages are to be looked at again. Nothing of who did it, nor of which worker.
_TO_ALL = {
    "StartsPaused": "starts are paused",
    "StartsResumed": "starts go on",
    "BannerPut": "there is a banner",
    "BannerTaken": "the banner was taken down",
    "WorkerDrained": "a worker is to be emptied",
    "WorkerUndrained": "a worker takes work again",
}


def told_to_all(model: EventModel) -> EventModel:
    """An event of the house, as those hear of it who may not see it."""
    return msgspec.structs.replace(
        model,
        text=_TO_ALL.get(model.type, "the house has changed"),
        actor=Actor("system", "", "house"),
        correlation="",
        causation="",
        command="",
        trace="",
        data={},
    )


_KINDS = ("user", "service", "worker", "proxy")


def actor_of(said: str, names: Names) -> Actor:
    """*said*: as the context of an event has it."""
    kind, _, id = said.partition(":")
    if kind not in _KINDS or not id:
        return Actor("system", "", "account" if kind == "account" else said)
    if kind != "user":
        return Actor(kind, id, id)
    known = names.get(id)
    return Actor(kind, id, known.name if known is not None else FORGOTTEN)
