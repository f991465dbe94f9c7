"""`hubbub status`, `pause`, `resume`, `banner`, `drain` and `undrain`: how the hub is run."""

import asyncio
from argparse import Namespace
from typing import Any

from hubbub_local.client.session import Hub, path
from hubbub_local.client.shown import clock, count, fails, heard, state
from hubbub_local.client.table import Paper, plain

#: Seconds between looks at a worker that is waited for.
EVERY = 1.0


async def status(hub: Hub, asked: Namespace, paper: Paper) -> int:
    found = await _status(hub)
    if asked.json:
        paper.json(found)
        return 0
    users, house = found["users"], found["house"]
    paper.line(f"{hub.public}  {count(users['all'], 'user')}, {users['active']} with servers, {users['ready']} ready")
    _say_house(paper, house)
    paper.line()
    paper.table(
        ("POOL", "WORKERS", "DRAINING", "SILENT", "HOLDS", "CAPACITY", "WAITING"),
        [
            (
                pool["name"],
                pool["workers"],
                pool["draining"] or "",
                pool["silent"] or "",
                sum(pool["holds"].values()),
                "any" if pool["capacity"] is None else pool["capacity"],
                pool["waiting"],
            )
            for pool in found["pools"]
        ],
        right=" rrrrrr",
    )
    paper.line()
    paper.table(
        ("WORKER", "POOL", "STATE", "HEARD", "HOLDS", "MACHINE", "VERSION", "DRAINS"),
        [
            (
                worker["name"],
                worker["pool"],
                state(worker["status"]),
                heard(worker["heard"]),
                sum(worker["holds"].values()),
                worker["machine"],
                worker["version"],
                _drains(worker["draining"]),
            )
            for worker in found["workers"]
        ],
        right="   rr",
    )
    return 0


async def _status(hub: Hub) -> dict[str, Any]:
    async def users(state: str = "") -> int:
        return (await hub.page("/users", limit=1, state=state))[1]

    house, pools, workers, *numbers = await asyncio.gather(
        hub.get("/house"), hub.get("/pools"), hub.get("/workers"), users(), users("active"), users("ready")
    )
    counted = dict(zip(("all", "active", "ready"), numbers, strict=True))
    return {"url": hub.public, "house": house, "users": counted, "pools": pools, "workers": workers}


def _say_house(paper: Paper, house: dict[str, Any]) -> None:
    if house["paused"]:
        why = f": {plain(house['reason'])}" if house["reason"] else ""
        paper.line(paper.coloured(f"New starts are paused since {clock(house['since'])}{why}", "yellow"))
    if banner := house["banner"]:
        until = f" (until {clock(banner['until'])})" if banner["until"] else ""
        paper.line(f"Banner, {banner['kind']}: {plain(banner['text'])}{until}")


def _drains(draining: dict[str, Any] | None) -> str:
    if draining is None:
        return ""
    until = f"until {clock(draining['deadline'])}" if draining["deadline"] else "without a deadline"
    return f"{until}: {draining['message']}" if draining["message"] else until


# Pause and banner -----------------------------------------------------------------------


async def pause(hub: Hub, asked: Namespace, paper: Paper) -> int:
    return await _change(hub, asked, paper, {"paused": True, "reason": " ".join(asked.reason)})


async def resume(hub: Hub, asked: Namespace, paper: Paper) -> int:
    return await _change(hub, asked, paper, {"paused": False})


async def banner(hub: Hub, asked: Namespace, paper: Paper) -> int:
    text = " ".join(asked.text)
    if asked.clear == bool(text):
        return fails("give a text, or --clear", 2)
    put = None if asked.clear else {"text": text, "kind": "warning" if asked.warning else "info", "until": asked.until}
    return await _change(hub, asked, paper, {"banner": put})


async def _change(hub: Hub, asked: Namespace, paper: Paper, body: dict[str, Any]) -> int:
    house = await hub.ask("PATCH", "/house", body)
    if asked.json:
        paper.json(house)
        return 0
    if not house["paused"] and "paused" in body:
        paper.line("New starts are taken.")
    if not house["banner"] and "banner" in body:
        paper.line("There is no banner.")
    _say_house(paper, house)
    return 0


# Workers --------------------------------------------------------------------------------


async def drain(hub: Hub, asked: Namespace, paper: Paper) -> int:
    if asked.within is not None and asked.at:
        return fails("give --in or --at, not both", 2)
    body = {"message": asked.message, "seconds": asked.within, "deadline": asked.at}
    worker = await hub.ask("POST", f"{path('workers', asked.worker)}/drain", body)
    if not asked.wait:
        return _drained(paper, asked, worker)
    while worker["status"] == "draining":
        if not asked.json:
            paper.progress(f"{asked.worker} still holds {_holds(worker)}")
        await asyncio.sleep(EVERY)
        worker = await hub.get(path("workers", asked.worker))
    paper.progress("")
    _drained(paper, asked, worker)
    return 0 if worker["status"] == "drained" else fails(f"{asked.worker} does not drain any more", 3)


def _drained(paper: Paper, asked: Namespace, worker: dict[str, Any]) -> int:
    if asked.json:
        paper.json(worker)
    elif worker["status"] == "drained":
        paper.line(f"{asked.worker} takes nothing more, and holds nothing.")
    elif worker["draining"]:
        at = worker["draining"]["deadline"]
        then = f"What is left is stopped at {clock(at)}." if at else "That runs on until it is stopped."
        paper.line(f"{asked.worker} takes nothing more, and holds {_holds(worker)}. {then}")
    return 0


def _holds(worker: dict[str, Any]) -> str:
    return count(sum(worker["holds"].values()), "server")


async def undrain(hub: Hub, asked: Namespace, paper: Paper) -> int:
    place = path("workers", asked.worker)
    await hub.ask("DELETE", f"{place}/drain")
    if asked.json:
        paper.json(await hub.get(place))
    else:
        paper.line(f"{asked.worker} takes work again.")
    return 0
