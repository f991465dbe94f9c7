"""What has to exist before a request of the contract makes sense: users, servers, groups, shares, under fresh names."""

from collections.abc import Awaitable, Callable
from typing import Any

from targets import Target

Names = dict[str, str]


async def set_up(target: Target, *things: str) -> Names:
    """Make *things* in order, and say what they are called: names for paths, bodies and filters."""
    names = {kind: target.fresh(kind) for kind in ("user", "server", "group", "service", "other", "new")}
    for thing in things:
        await MAKERS[thing](target, names)
    return names


def filled(template: Any, names: Names) -> Any:
    """*template* with every `{name}` in its strings replaced; other braces stay."""
    match template:
        case str():
            for name, value in names.items():
                template = template.replace(f"{{{name}}}", value)
            return template
        case dict():
            return {filled(key, names): filled(value, names) for key, value in template.items()}
        case list():
            return [filled(value, names) for value in template]
        case _:
            return template


async def _user(target: Target, names: Names) -> None:
    await target.done("POST", f"/users/{names['user']}")


async def _other(target: Target, names: Names) -> None:
    await target.done("POST", f"/users/{names['other']}")


async def _group(target: Target, names: Names) -> None:
    await target.done("POST", f"/groups/{names['group']}")


async def _member(target: Target, names: Names) -> None:
    await target.done("POST", f"/groups/{names['group']}/users", {"users": [names["user"]]})


async def _server(target: Target, names: Names) -> None:
    await target.done("PUT", f"/users/{names['user']}/servers/{names['server']}")


async def _running(target: Target, names: Names) -> None:
    answer = await target.api("POST", f"/users/{names['user']}/server")
    assert answer.status == 201, answer


async def _slow(target: Target, names: Names) -> None:
    """The default server of the user, which stays in its start until it is cancelled."""
    answer = await target.api("POST", f"/users/{names['user']}/server", {"delay": 600})
    assert answer.status == 202, answer


async def _token(target: Target, names: Names) -> None:
    made = await target.done("POST", f"/users/{names['user']}/tokens", {"note": "of the stage"})
    names |= {"token": made["token"], "token_id": made["id"]}


async def _share(target: Target, names: Names) -> None:
    await target.done("POST", f"/shares/{names['user']}/{names['server']}", {"user": names["other"]})


async def _group_share(target: Target, names: Names) -> None:
    await target.done("POST", f"/shares/{names['user']}/{names['server']}", {"group": names["group"]})


async def _code(target: Target, names: Names) -> None:
    made = await target.done("POST", f"/share-codes/{names['user']}/{names['server']}")
    names |= {"code": made["code"], "code_id": made["id"]}


async def _service(target: Target, names: Names) -> None:
    await target.done("POST", f"/services/{names['service']}", {"info": {"made": "at run time"}})


MAKERS: dict[str, Callable[[Target, Names], Awaitable[None]]] = {
    "user": _user,
    "other": _other,
    "group": _group,
    "member": _member,
    "server": _server,
    "running": _running,
    "slow": _slow,
    "token": _token,
    "share": _share,
    "group share": _group_share,
    "code": _code,
    "service": _service,
}
