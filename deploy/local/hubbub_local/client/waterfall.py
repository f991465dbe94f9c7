"""`hubbub trace`: where the time of a start went, from the wish to have it to the first visitor."""

from argparse import Namespace
from typing import Any

from hubbub_local.client.session import Hub, parsed, server_path
from hubbub_local.client.shown import clock
from hubbub_local.client.table import Paper, cut, plain, wide

#: Columns of the bars, if there is room; and below what they do not go.
WIDTH = 40
_LEAST = 10
#: A sentence that is cut to less says nothing.
_READABLE = 30
_COLOURS = {"done": "green", "failed": "red", "open": "yellow"}


async def trace(hub: Hub, asked: Namespace, paper: Paper) -> int:
    place = server_path(*parsed(asked.server))
    if asked.list:
        return await _list(hub, place, asked, paper)
    found = await hub.get(f"{place}/starts/{asked.attempt or 'newest'}")
    if asked.json:
        paper.json(found)
        return 0
    whose = f"{found['user']}/{found['server']}".rstrip("/")
    by = found["by"]["name"] or found["by"]["kind"]
    paper.line(f"{plain(whose)}, start {found['attempt']}, asked for at {clock(found['asked'])} by {plain(by)}")
    paper.line(plain(found["summary"]))
    if found["message"] and found["message"] not in found["summary"]:
        paper.line(plain(found["message"]))
    paper.line()
    draw(found, paper)
    where = [f"pool {found['pool']}", f"worker {found['worker']}" if found["worker"] else ""]
    paper.line(paper.coloured(", ".join(filter(None, [*where, found["trace"] and f"trace {found['trace']}"])), "dim"))
    for name, word in (("earlier", "It repeats start"), ("later", "It was repeated by start")):
        if found[name]:
            paper.line(f"{word} {found[name]}: --attempt {found[name]}")
    return 0


async def _list(hub: Hub, place: str, asked: Namespace, paper: Paper) -> int:
    found = (await hub.get(f"{place}/starts", limit=asked.limit))["items"]
    if asked.json:
        paper.json(found)
        return 0
    rows = [
        (each["attempt"], clock(each["asked"]), f"{each['seconds']:.2f} s", each["outcome"], each["by"]["name"])
        for each in found
    ]
    paper.table(("START", "ASKED", "TOOK", "OUTCOME", "BY"), rows, right="r r")
    return 0


def draw(found: dict[str, Any], paper: Paper) -> None:
    """A line a phase: its title, a bar over the time of the whole, its seconds, and what it waited for."""
    phases, whole = found["phases"], max(found["seconds"], 0.001)
    titles = [plain(phase["title"]) for phase in phases]
    room = max(map(wide, titles), default=0)
    width = WIDTH if paper.width is None else max(_LEAST, min(WIDTH, paper.width - room - 14))
    for title, phase in zip(titles, phases, strict=True):
        end = whole if phase["end"] is None else phase["end"]
        text = f"{title}{' ' * (room - wide(title))}  "
        shown = paper.coloured(bar(phase["begin"], end, whole, width), _COLOURS.get(phase["ended"], ""))
        why = f"  {plain(phase['why'])}" if phase["why"] else ""
        took = f"{end - phase['begin']:8.2f} s"
        if paper.width is not None:
            left = paper.width - room - width - 13
            why = cut(why, left) if left >= _READABLE else ""
        paper.line(f"{text}{shown}{took}{why}")


def bar(begin: float, end: float, whole: float, width: int) -> str:
    """Of *width* characters; the shortest phase is seen, too."""
    first = min(width - 1, int(begin / whole * width))
    last = max(first + 1, min(width, round(end / whole * width)))
    return f"{' ' * first}{'█' * (last - first)}{' ' * (width - last)}"
