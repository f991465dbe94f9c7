"""`hubbub users` and `hubbub as-of`: tables of users, servers and routes, now or then."""

from argparse import Namespace
from typing import Any

from hubbub_local.client.session import Hub
from hubbub_local.client.shown import clock, since, state, word_of
from hubbub_local.client.table import Paper

#: Of a list, unless all of it is asked for.
SOME = 50


async def users(hub: Hub, asked: Namespace, paper: Paper) -> int:
    return await _users(hub, asked, paper, state=asked.state, name_filter=asked.filter, sort=asked.sort)


async def as_of(hub: Hub, asked: Namespace, paper: Paper) -> int:
    then = asked.time
    if asked.what == "users":
        return await _users(hub, asked, paper, as_of=then)
    if asked.what == "servers":
        return await _servers(hub, asked, paper, then)
    return await _routes(hub, asked, paper, then)


def _most(asked: Namespace) -> int | None:
    return None if asked.all else asked.limit


async def _users(hub: Hub, asked: Namespace, paper: Paper, **query: Any) -> int:
    total = (await hub.page("/users", limit=1, **query))[1]
    found = [user async for user in hub.every("/users", _most(asked), **query)]
    if asked.json:
        paper.json(found)
        return 0
    rows = [
        (
            user["name"],
            "admin" if user.get("admin") else "",
            ", ".join(user.get("groups", ())),
            ", ".join(f"{name or '(default)'} {word_of(server)}" for name, server in user.get("servers", {}).items()),
            since(user.get("last_activity")),
        )
        for user in found
    ]
    paper.table(("USER", "ROLE", "GROUPS", "SERVERS", "ACTIVE"), rows)
    _say_rest(paper, len(found), total)
    return 0


async def _servers(hub: Hub, asked: Namespace, paper: Paper, then: str) -> int:
    """Those that were not stopped; with --stopped, all."""
    query = {"as_of": then, **({"include_stopped_servers": 1} if asked.stopped else {"state": "active"})}
    found = []
    async for user in hub.every("/users", None, **query):
        found += [{"user": user["name"], **server} for server in user.get("servers", {}).values()]
        if not asked.all and len(found) >= asked.limit:
            break
    if asked.json:
        paper.json(found)
        return 0
    rows = [
        (server["user"], server["name"] or "(default)", state(word_of(server)), clock(server["started"]), server["url"])
        for server in found
    ]
    paper.table(("USER", "SERVER", "STATE", "STARTED", "PATH"), rows)
    return 0


async def _routes(hub: Hub, asked: Namespace, paper: Paper, then: str) -> int:
    total = (await hub.page("/proxy", limit=1, as_of=then))[1]
    found = {spec: route async for spec, route in hub.every("/proxy", _most(asked), as_of=then)}
    if asked.json:
        paper.json(found)
        return 0
    rows = [(spec, route["target"], _whose(route["data"])) for spec, route in found.items()]
    paper.table(("ROUTE", "TARGET", "OF"), rows)
    _say_rest(paper, len(found), total)
    return 0


def _whose(data: dict[str, Any]) -> str:
    if "user" in data:
        return f"{data['user']}/{data['server_name']}".rstrip("/")
    return f"service {data['service']}" if "service" in data else "hub" if data.get("hub") else "operator"


def _say_rest(paper: Paper, shown: int, total: int) -> None:
    if shown < total:
        paper.line(paper.coloured(f"{shown} of {total}: --all for the rest", "dim"))
