"""Shares of servers: granting, reading, revoking, and what they let others do."""

from typing import Any

import pytest
from refusals import Refused, row_id, says
from stage import Names, set_up
from targets import Target

pytestmark = pytest.mark.asyncio(loop_scope="session")

OWNED = ("user", "server", "other")
HERE = "/shares/{user}/{server}"
CROOKED = "read:servers!server={other}/"

REFUSED = [
    Refused(f"POST {HERE}", None, (400, ...), OWNED),
    Refused(f"POST {HERE}", {}, (400, ...), OWNED),
    Refused(f"POST {HERE}", {"user": "{other}", "group": "crew"}, (400, ...), OWNED),
    Refused(f"POST {HERE}", {"user": "{other}", "frob": 1}, (400, ...), OWNED),
    Refused(f"POST {HERE}", {"user": 1}, (400, ...), OWNED),
    Refused(f"POST {HERE}", {"user": "{other}", "scopes": "access:servers"}, (400, ...), OWNED),
    Refused(f"POST {HERE}", {"user": "{other}", "scopes": [1]}, (400, ...), OWNED),
    Refused(f"POST {HERE}", {"user": "{other}", "scopes": ["nonsense"]}, "an unknown scope of a share", OWNED),
    Refused(f"POST {HERE}", {"user": "{other}", "scopes": [CROOKED]}, (400, ...), OWNED),
    Refused(f"POST {HERE}", {"user": "{new}"}, (400, ["{new}"]), OWNED),
    Refused(f"POST {HERE}", {"group": "{new}"}, (400, ["{new}"]), OWNED),
    Refused(
        f"POST {HERE}",
        {"user": "{other}"},
        (403, ["read:users:name"]),
        OWNED,
        ("shares",),
    ),
    Refused(
        f"POST {HERE}",
        {"group": "crew"},
        (403, ["read:groups:name"]),
        OWNED,
        ("shares",),
    ),
    Refused(
        f"POST {HERE}",
        {"user": "{other}", "scopes": ["start:servers"]},
        (403, ["start:servers!server={user}/{server}"]),
        OWNED,
        ("shares", "list:users"),
    ),
    Refused("POST /shares/{user}/{new}", {"user": "{other}"}, (404, ["{user}", "{new}"]), OWNED),
    Refused(f"PATCH {HERE}", {}, (400, ...), OWNED),
    Refused(f"PATCH {HERE}", {"user": "{other}", "frob": 1}, (400, ...), OWNED),
    Refused(f"PATCH {HERE}", {"user": "{other}", "group": "crew"}, (400, ...), OWNED),
    Refused(
        "GET /users/{other}/shared/{user}/{server}",
        None,
        (404, ["{other}", "{user}", "{server}"]),
        OWNED,
    ),
    Refused(
        "GET /groups/crew/shared/{user}/{server}",
        None,
        (404, ["{user}", "{server}"]),
        OWNED,
    ),
    Refused("GET /users/{new}/shared/{user}/{server}", None, (404, ...), OWNED),
]


@pytest.mark.parametrize("row", REFUSED, ids=row_id)
async def test_is_refused(target: Target, row: Refused) -> None:
    await row.hold(target)


def scopes(names: Names, *bases: str) -> list[str]:
    return sorted(f"{base}!server={names['user']}/{names['server']}" for base in bases)


def items(page: Any) -> list[Any]:
    """Of a list that is always a page."""
    assert set(page) == {"items", "_pagination"}
    assert len(page["items"]) == page["_pagination"]["total"]
    return list(page["items"])


@pytest.mark.parametrize("kind", ["user", "group"])
async def test_a_share_grows_and_shrinks_until_it_is_gone(target: Target, kind: str) -> None:
    names = await set_up(target, *OWNED, "group")
    name = names["other" if kind == "user" else "group"]
    path, receiver = f"/shares/{names['user']}/{names['server']}", {kind: name}
    place = f"/{kind}s/{name}/shared/{names['user']}/{names['server']}"
    made = await target.done("POST", path, receiver)
    assert made["scopes"] == scopes(names, "access:servers")
    assert (made["kind"], made[kind], made["group" if kind == "user" else "user"]) == (kind, {"name": name}, None)
    assert await target.done("GET", place) == made
    assert (
        items(await target.done("GET", path)) == items(await target.done("GET", f"/shares/{names['user']}")) == [made]
    )
    assert items(await target.done("GET", f"/{kind}s/{name}/shared")) == [made]

    more = await target.done(
        "POST",
        path,
        {**receiver, "scopes": ["read:servers", f"delete:servers!server={names['user']}/{names['server']}"]},
    )
    assert more == {**made, "scopes": scopes(names, "access:servers", "read:servers", "delete:servers")}
    assert await target.done("POST", path, receiver) == more
    less = await target.done(
        "PATCH", path, {**receiver, "scopes": [f"access:servers!server={names['user']}/{names['server']}"]}
    )
    assert less["scopes"] == scopes(names, "read:servers", "delete:servers")
    assert await target.done("PATCH", path, receiver) == {}
    assert await target.done("PATCH", path, receiver) == {}
    assert items(await target.done("GET", path)) == []
    assert (await target.api("GET", place)).status == 404


async def test_revoking_the_last_scope_revokes_the_share(target: Target) -> None:
    names = await set_up(target, *OWNED, "share")
    path = f"/shares/{names['user']}/{names['server']}"
    body = {"user": names["other"], "scopes": scopes(names, "access:servers")}
    assert await target.done("PATCH", path, body) == {}
    assert items(await target.done("GET", path)) == []


@pytest.mark.parametrize("body", [{"user": "{new}"}, {"group": "{new}"}])
async def test_revoking_from_nobody_is_no_error(target: Target, body: dict[str, str]) -> None:
    names = await set_up(target, *OWNED)
    receiver = dict.fromkeys(body, names["new"])
    assert await target.done("PATCH", f"/shares/{names['user']}/{names['server']}", receiver) == {}


@pytest.mark.parametrize("who", ["receiver", "owner", "group", "server", "user"])
async def test_shares_end_with(target: Target, who: str) -> None:
    """The receiver leaves it, the owner drops them all, or one of the parts is deleted."""
    kind = "group share" if who == "group" else "share"
    names = await set_up(target, *OWNED, "group", kind)
    user, server, other = names["user"], names["server"], names["other"]
    method, path = {
        "receiver": ("DELETE", f"/users/{other}/shared/{user}/{server}"),
        "owner": ("DELETE", f"/shares/{user}/{server}"),
        "group": ("DELETE", f"/groups/{names['group']}"),
        "server": ("DELETE", f"/users/{user}/servers/{server}"),
        "user": ("DELETE", f"/users/{other}"),
    }[who]
    answer = await target.api(method, path, {"remove": True} if who == "server" else None)
    assert (answer.status, answer.text) == (204, "")
    assert items(await target.done("GET", f"/shares/{user}")) == []
    if who != "user":
        assert items(await target.done("GET", f"/users/{other}/shared")) == []


async def test_a_member_sees_what_its_group_was_given(target: Target) -> None:
    names = await set_up(target, "user", "group", "member", "other")
    await target.done("PUT", f"/users/{names['other']}/servers/{names['server']}")
    share = await target.done("POST", f"/shares/{names['other']}/{names['server']}", {"group": names["group"]})
    assert items(await target.done("GET", f"/users/{names['user']}/shared")) == [share]


async def scopes_of(target: Target, user: str) -> set[str]:
    made = await target.done("POST", f"/users/{user}/tokens", {"scopes": ["inherit"]})
    return set((await target.done("GET", "/user", token=made["token"]))["scopes"])


async def test_a_share_is_in_the_tokens_of_its_receiver(target: Target) -> None:
    names = await set_up(target, *OWNED)
    given = {"user": names["other"], "scopes": ["access:servers", "read:servers", "start:servers"]}
    path = f"/shares/{names['user']}/{names['server']}"
    await target.done("POST", path, given)
    assert set(scopes(names, "access:servers", "read:servers", "start:servers")) <= await scopes_of(
        target, names["other"]
    )
    token = (await target.done("POST", f"/users/{names['other']}/tokens"))["token"]
    server = f"/users/{names['user']}/servers/{names['server']}"
    assert (await target.api("GET", server, token=token)).status == 200
    assert (await target.api("POST", server, token=token)).status == 201
    says(await target.api("DELETE", server, token=token), 404, "No access to resources or resources not found")
    await target.done("PATCH", path, {"user": names["other"]})
    assert (await target.api("GET", server, token=token)).status == 404


async def test_a_groups_share_is_in_the_tokens_of_its_members(target: Target) -> None:
    names = await set_up(target, "user", "server", "other", "group")
    await target.done("POST", f"/groups/{names['group']}/users", {"users": [names["other"]]})
    await target.done("POST", f"/shares/{names['user']}/{names['server']}", {"group": names["group"]})
    shared = set(scopes(names, "access:servers"))
    assert bool(shared & await scopes_of(target, names["other"])) == target.answers("a group's share in tokens")
    async with await target.login(names["other"]) as browser:
        mine = (await browser.ask("GET", "hub/api/user")).json
        assert shared <= set(mine["scopes"])


async def test_owners_share_only_with_whom_they_may_read(target: Target) -> None:
    """The scopes of `self` do not hold `shares`."""
    names = await set_up(target, *OWNED, "token")
    body = {"user": names["other"]}
    answer = await target.api("POST", f"/shares/{names['user']}/{names['server']}", body, token=names["token"])
    assert answer.status == 403


async def test_the_default_server_is_shared_by_its_empty_name(target: Target) -> None:
    names = await set_up(target, "user", "other")
    path = f"/shares/{names['user']}/"
    made = await target.done("POST", path, {"user": names["other"]})
    assert made["scopes"] == [f"access:servers!server={names['user']}/"]
    assert made["server"]["url"] == f"/user/{names['user']}/"
    assert items(await target.done("GET", path)) == [made]
    assert await target.done("GET", f"/users/{names['other']}/shared/{names['user']}/") == made


async def test_shares_come_in_pages(target: Target) -> None:
    names = await set_up(target, "user", "server")
    prefix = target.fresh("many")
    receivers = [f"{prefix}-{n}" for n in range(5)]
    await target.done("POST", "/users", {"usernames": receivers})
    path = f"/shares/{names['user']}/{names['server']}"
    for name in receivers:
        await target.done("POST", path, {"user": name})
    page = await target.done("GET", f"{path}?limit=2&offset=2")
    assert [share["user"]["name"] for share in page["items"]] == receivers[2:4]
    assert page["_pagination"]["total"] == 5
    assert page["_pagination"]["next"]["url"].startswith(f"{target.url}hub/api{path}?")
    bare = await target.done("GET", f"/shares/{names['user']}")
    assert (len(bare["items"]), bare["_pagination"]["limit"]) == (5, 12)
