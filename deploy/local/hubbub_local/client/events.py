"""`hubbub events`: what has happened, and what happens."""

import asyncio
import json
import sys
from argparse import Namespace
from datetime import datetime
from typing import Any

from hubbub_local.client.session import Hub, Refused, parsed
from hubbub_local.client.shown import fails
from hubbub_local.client.table import Paper, plain
from hubbub_local.errors import StackError

#: Of the past, unless all of it is asked for.
SOME = 50
_PAGE = 500
#: Seconds without even a heartbeat, after which the stream is asked for again from where it ended.
QUIET = 45.0
#: Seconds until that is tried again when the hub is away.
AGAIN = 1.0


async def events(hub: Hub, asked: Namespace, paper: Paper) -> int:
    query = {"user": asked.user, "type": asked.type, "group": asked.group, "actor": asked.actor}
    query |= {"since": asked.since, "until": asked.until}
    if asked.server:
        query["server"] = "/".join(parsed(asked.server))
    if asked.follow and asked.until:
        return fails("--until is about the past, --follow about what comes", 2)
    head = await (_every(hub, query, asked, paper) if asked.all or asked.since else _last(hub, query, asked, paper))
    if asked.follow:
        query.pop("since", None)
        await _follow(hub, query, head, asked, paper)
    return 0


async def _last(hub: Hub, query: dict[str, Any], asked: Namespace, paper: Paper) -> int:
    """The newest so many, the oldest of them first. How far the log went."""
    found: list[Any] = []
    more, head = None, None
    while head is None or (more and len(found) < asked.limit):
        limit = max(1, min(_PAGE, asked.limit - len(found)))
        page = await hub.get("/events", **query, before=more, limit=limit)
        head, more = page["head"] if head is None else head, page["more"]
        found += page["items"]
    for event in reversed(found[: asked.limit]):
        _show(event, asked, paper)
    return int(head)


async def _every(hub: Hub, query: dict[str, Any], asked: Namespace, paper: Paper) -> int:
    """From the oldest on. How far it went."""
    oldest = (await hub.get("/events", limit=1)).get("oldest", 1)
    if oldest > 1 and not asked.since:
        sys.stderr.write(f"hubbub: events up to {oldest - 1} were archived: this begins after them\n")
    after: int | None = oldest - 1
    head = 0
    while after is not None:
        page = await hub.get("/events", **query, after=after, order="oldest", limit=_PAGE)
        for event in page["items"]:
            _show(event, asked, paper)
        head, after = page["head"], page["more"]
    return head


async def _follow(hub: Hub, query: dict[str, Any], after: int, asked: Namespace, paper: Paper) -> None:
    """For ever. Whatever breaks, it goes on after the last that came."""
    cursor: dict[str, str] = {}
    while True:
        try:
            asked_for = query if cursor else {**query, "after": after}
            async with hub.stream("/events", cursor, QUIET, **asked_for) as frames:
                async for id, data in frames:
                    if id:
                        cursor = {"Last-Event-ID": id}
                    if data:
                        _show(json.loads(data), asked, paper)
        except Refused as refusal:
            if refusal.status not in (429, 502, 503):
                raise
        except StackError:
            pass  # it is away
        await asyncio.sleep(AGAIN)


def _show(event: dict[str, Any], asked: Namespace, paper: Paper) -> None:
    if asked.json:
        paper.json(event, whole=False)
        return
    at = datetime.fromisoformat(event["at"]).astimezone()
    text, by = plain(event["text"]), event["actor"]
    who = plain(by["name"]) or by["kind"]
    paper.line(
        f"{event['position']:>7}  {at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}  "
        f"{paper.coloured(event['type'], 'bold')}  {text}  {paper.coloured(f'by {who}', 'dim')}"
    )
