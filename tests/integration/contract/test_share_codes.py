"""Share codes: making, listing, deleting and accepting them."""

from datetime import datetime
from typing import Any

import pytest
from refusals import Refused, row_id
from stage import set_up
from targets import Target

pytestmark = pytest.mark.asyncio(loop_scope="session")

OWNED = ("user", "server")
HERE = "/share-codes/{user}/{server}"

REFUSED = [
    Refused(f"POST {HERE}", {"expires_in": 59}, (400, ...), OWNED),
    Refused(f"POST {HERE}", {"expires_in": 31536001}, (400, ...), OWNED),
    Refused(f"POST {HERE}", {"expires_in": "soon"}, (400, ...), OWNED),
    Refused(f"POST {HERE}", {"frob": 1}, (400, ...), OWNED),
    Refused(f"POST {HERE}", {"user": "root"}, (400, ...), OWNED),
    Refused(f"POST {HERE}", {"scopes": "access:servers"}, (400, ...), OWNED),
    Refused(f"POST {HERE}", {"scopes": ["nonsense"]}, "an unknown scope of a share", OWNED),
    Refused(f"POST {HERE}", {"scopes": ["read:servers!server=root/"]}, (400, ...), OWNED),
    Refused(
        f"POST {HERE}",
        {"scopes": ["start:servers"]},
        (403, ["start:servers!server={user}/{server}"]),
        OWNED,
        ("shares",),
    ),
    Refused("POST /share-codes/{user}/{new}", {}, (404, ["{user}", "{new}"]), OWNED),
    Refused("DELETE /share-codes/{user}/{new}", None, (404, ["{user}", "{new}"]), OWNED),
    Refused(f"DELETE {HERE}?code=unknown", None, (404, ...), OWNED),
    Refused(f"DELETE {HERE}?id=sc_999999", None, (404, ["sc_999999"]), OWNED),
    Refused(f"DELETE {HERE}?id=odd", None, (404, ["odd"]), OWNED),
]


@pytest.mark.parametrize("row", REFUSED, ids=row_id)
async def test_is_refused(target: Target, row: Refused) -> None:
    await row.hold(target)


def lives(code: Any) -> float:
    """Seconds from its making to its end."""
    return (datetime.fromisoformat(code["expires_at"]) - datetime.fromisoformat(code["created_at"])).total_seconds()


@pytest.mark.parametrize(
    ("body", "bases", "seconds"),
    [
        (None, ["access:servers"], 86400),
        ({}, ["access:servers"], 86400),
        ({"scopes": []}, ["access:servers"], 86400),
        ({"scopes": ["read:servers", "access:servers"], "expires_in": 60}, ["access:servers", "read:servers"], 60),
        ({"expires_in": 31536000}, ["access:servers"], 31536000),
        ({"expires_in": "600"}, ["access:servers"], 600),
    ],
)
async def test_a_code_is_shown_once(target: Target, body: Any, bases: list[str], seconds: int) -> None:
    names = await set_up(target, *OWNED)
    path = f"/share-codes/{names['user']}/{names['server']}"
    made = await target.done("POST", path, body)
    code = made.pop("code")
    assert len(code) == 43
    assert (made.pop("accept_url"), made.pop("full_accept_url")) == (f"/hub/accept-share?code={code}", None)
    assert made["scopes"] == [f"{base}!server={names['user']}/{names['server']}" for base in bases]
    assert lives(made) == pytest.approx(seconds, abs=2)
    for listed in (path, f"/share-codes/{names['user']}"):
        page = await target.done("GET", listed)
        assert page["items"] == [made]
        assert (page["_pagination"]["total"], page["_pagination"]["next"]) == (1, None)


async def test_codes_are_deleted_one_by_one_or_all(target: Target) -> None:
    names = await set_up(target, *OWNED)
    path = f"/share-codes/{names['user']}/{names['server']}"
    made = [await target.done("POST", path) for _ in range(4)]

    async def left() -> list[str]:
        return [code["id"] for code in (await target.done("GET", path))["items"]]

    ids = [code["id"] for code in made]
    assert await left() == ids
    assert (await target.api("DELETE", f"{path}?id={ids[0]}")).status == 204
    assert await left() == ids[1:]
    assert (await target.api("DELETE", f"{path}?code={made[2]['code']}")).status == 204
    assert await left() == [ids[1], ids[3]]
    assert (await target.api("DELETE", path)).status == 204
    assert await left() == []
    assert (await target.api("DELETE", path)).status == 204


async def test_a_code_of_another_server_is_none_of_this_one(target: Target) -> None:
    names = await set_up(target, *OWNED, "code")
    await target.done("PUT", f"/users/{names['user']}/servers/{names['new']}")
    for query in (f"id={names['code_id']}", f"code={names['code']}"):
        answer = await target.api("DELETE", f"/share-codes/{names['user']}/{names['new']}?{query}")
        assert answer.status == 404
    assert (await target.done("GET", f"/share-codes/{names['user']}"))["_pagination"]["total"] == 1


async def test_who_accepts_a_code_has_a_share(target: Target) -> None:
    names = await set_up(target, *OWNED, "code", "other")
    async with await target.login(names["other"]) as browser:
        page = await browser.ask("GET", f"hub/accept-share?code={names['code']}")
        assert page.status == 200 and names["user"] in page.text
        fields = {"code": names["code"], "_xsrf": browser.xsrf}
        accepted = await browser.ask("POST", "hub/accept-share", data=fields)
        assert accepted.status == 302
        assert accepted.headers["Location"].endswith(f"/user/{names['user']}/{names['server']}/")
        wrong = await browser.ask("GET", "hub/accept-share?code=unknown")
        assert wrong.status == 404
    share = await target.done("GET", f"/users/{names['other']}/shared/{names['user']}/{names['server']}")
    assert share["scopes"] == [f"access:servers!server={names['user']}/{names['server']}"]
    [code] = (await target.done("GET", f"/share-codes/{names['user']}"))["items"]
    assert code["exchange_count"] == 1 and code["last_exchanged_at"] is not None


async def test_its_owner_cannot_accept_a_code(target: Target) -> None:
    names = await set_up(target, *OWNED, "code")
    async with await target.login(names["user"]) as browser:
        fields = {"code": names["code"], "_xsrf": browser.xsrf}
        answer = await browser.ask("POST", "hub/accept-share", data=fields)
        assert answer.status == 400, answer
    assert (await target.done("GET", f"/shares/{names['user']}"))["items"] == []
