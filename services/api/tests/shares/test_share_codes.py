"""Share codes: made, listed, revoked, expired; and the page that accepts them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from structlog.testing import capture_logs

from hubbub.domain.message import NotFound
from hubbub.domain.share_code import IssueShareCode, RevokeShareCode, UseShareCode
from hubbub.eventlog import Context
from hubbub.tokens import token_hash
from hubbub.views import SHARE_CODES
from hubbub.watch_messages import Sweep
from hubbub_api.sweeps import Sweeps

LAB = "access:servers!server=ada/lab"
BY_TEST = Context.of("test")
CODES = "/share-codes/ada/lab"
UNKNOWN = "There is no such invitation, or it has expired."


async def accept(town: Any, code: str, who: str = "bob", query: str = "") -> tuple[int, str]:
    """Press the button; status, and where it leads or what the page says."""
    form = {"_xsrf": town.house.xsrf(who), "code": code}
    answer = await town.house.ask(f"/hub/accept-share{query}", who, "POST", data=form)
    return answer.status, answer.headers.get("Location") or await answer.text()


async def issued(town: Any, code: str, ends: timedelta) -> str:
    """A code for ada/lab that may have expired already; the id of its stream."""
    server = await town.house.views.server("ada", "lab")
    command = IssueShareCode(
        server=server.id, hash=token_hash(code), scopes=("access:servers",), expires_at=datetime.now(UTC) + ends
    )
    id = uuid4().hex
    await town.house.committer.execute(SHARE_CODES, id, command, BY_TEST.follow())
    return id


@pytest.mark.parametrize(
    "options", [{"allow_named_servers": True, "public_url": "https://hub.example/"}], indirect=True
)
async def test_the_code_stands_in_the_first_answer_and_nowhere_else(town):
    made = await town.done("POST", CODES, {"scopes": ["read:servers", "access:servers"]})
    code = made.pop("code")
    assert re.fullmatch(r"[\w-]{43}", code)
    assert made.pop("accept_url") == f"/hub/accept-share?code={code}"
    assert made.pop("full_accept_url") == f"https://hub.example/hub/accept-share?code={code}"
    lasts = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert lasts == timedelta(days=1)
    assert re.fullmatch(r"sc_\d+", made["id"])
    assert made["scopes"] == [LAB, "read:servers!server=ada/lab"]
    assert (made["server"]["name"], made["exchange_count"], made["last_exchanged_at"]) == ("lab", 0, None)
    for listing in ("/share-codes/ada", CODES):
        _, page = await town.call("GET", listing, "ada")
        assert page == {"items": [made], "_pagination": {"offset": 0, "limit": 200, "total": 1, "next": None}}
    for table in ("events", "share_codes"):
        rows = await town.house.pool.fetch(f"select * from {table}")
        assert rows and not any(code in str(tuple(row)) for row in rows)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"expires_in": 59}, 400, "Invalid body: Expected `int` >= 60 - at `$.expires_in`"),
        ({"expires_in": 31536001}, 400, "Invalid body: Expected `int` <= 31536000 - at `$.expires_in`"),
        ({"expires_in": True}, 400, "Invalid body: Expected `int | str`, got `bool` - at `$.expires_in`"),
        ({"expires_in": "59"}, 400, "expires_in: Expected `int` >= 60"),
        ({"user": "bob"}, 400, "Invalid JSON keys: user"),
        ({"scopes": ["nonsense"]}, 400, "No such scope: 'nonsense'"),
        (
            {"scopes": ["read:servers!user=ada"]},
            400,
            "!user=ada not allowed on sharing read:servers!user=ada, only !server=ada/lab",
        ),
        ({"scopes": ["shutdown"]}, 403, "Do not have permission to grant share with scope shutdown!server=ada/lab"),
    ],
)
async def test_what_cannot_be_meant_makes_no_code(town, body, status, message):
    answer = await town.call("POST", CODES, "root", "shares", json=body)
    assert answer == (status, {"status": status, "message": message})
    assert (await town.done("GET", CODES))["items"] == []


@pytest.mark.parametrize("seconds", [60, "600", 31536000])
async def test_a_code_lasts_as_long_as_is_asked_for(town, seconds):
    made = await town.done("POST", CODES, {"expires_in": seconds})
    lasts = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert lasts == timedelta(seconds=int(seconds))


async def test_codes_are_revoked_by_themselves_by_id_or_all_at_once(town):
    made = [await town.done("POST", CODES) for _ in range(4)]
    other = await town.done("POST", "/share-codes/ada/")
    for query, message in (
        ("code=nonsense", "No matching code found"),
        (f"code={'x' * 65}", "No matching code found"),
        (f"code={other['code']}", "No matching code found"),
        (f"id={other['id']}", f"No code found matching id={other['id']}"),
        ("id=sc_x", "No code found matching id=sc_x"),
        (f"id={made[0]['id'][3:]}", f"No code found matching id={made[0]['id'][3:]}"),
        (f"id=sc_{'9' * 19}", f"No code found matching id=sc_{'9' * 19}"),
    ):
        assert await town.call("DELETE", f"{CODES}?{query}", "root") == (404, {"status": 404, "message": message})
    await town.done("DELETE", f"{CODES}?code={made[0]['code']}")
    await town.done("DELETE", f"{CODES}?id={made[1]['id']}")
    assert [each["id"] for each in (await town.done("GET", CODES))["items"]] == [made[2]["id"], made[3]["id"]]
    assert (await accept(town, made[0]["code"]))[0] == (await accept(town, made[1]["code"]))[0] == 400
    await town.done("DELETE", CODES)
    assert [each["id"] for each in (await town.done("GET", "/share-codes/ada"))["items"]] == [other["id"]]
    assert await town.holds("bob") == set()


async def test_a_repeated_request_makes_one_code_and_shows_it_again(town):
    token = await town.house.token("root")
    again = {"token": token, "headers": {"Idempotency-Key": "once"}}
    first, second = [await (await town.house.ask(f"/hub/api{CODES}", "", "POST", **again)).json() for _ in range(2)]
    assert first == second
    assert len((await town.done("GET", CODES))["items"]) == 1


# Accepting one ---------------------------------------------------------------------------


async def test_whoever_opens_an_invitation_sees_what_it_is_and_accepts_it(town):
    made = await town.done("POST", CODES, {"scopes": ["access:servers", "read:servers"]})
    answer = await town.house.ask(f"/hub/accept-share?code={made['code']}", "bob")
    page = await answer.text()
    assert answer.status == 200
    for words in ("ada&#39;s server lab", "open it and work in it", "<code>/user/ada/lab/</code>", made["code"]):
        assert words in page
    assert "ada has to start it" in page
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert await town.received("bob") == []

    assert await accept(town, made["code"]) == (302, "/user/ada/lab/")
    assert await town.received("bob") == [("user", made["scopes"])]
    [used] = (await town.done("GET", CODES))["items"]
    assert used["exchange_count"] == 1
    assert used["last_exchanged_at"] > made["created_at"]
    assert await accept(town, made["code"], "cleo", "?next=/user/ada/lab/tree") == (302, "/user/ada/lab/tree")
    assert await accept(town, made["code"], "cleo", "?next=//elsewhere.example") == (302, "/user/ada/lab/")
    assert (await town.done("GET", CODES))["items"][0]["exchange_count"] == 3
    assert len(await town.received("cleo")) == 1


async def test_who_may_start_it_is_not_told_to_ask_for_that(town):
    made = await town.done("POST", CODES, {"scopes": ["access:servers", "servers"]})
    page = await (await town.house.ask(f"/hub/accept-share?code={made['code']}&next=/x%22y", "bob")).text()
    assert "has to start it" not in page
    assert 'action="/hub/accept-share?next=%2Fx%2522y"' in page


async def test_accepting_adds_to_what_is_shared_already(town):
    await town.share(user="bob", scopes=["read:servers"])
    made = await town.done("POST", CODES)
    await accept(town, made["code"])
    assert await town.received("bob") == [("user", [LAB, "read:servers!server=ada/lab"])]


async def test_a_stranger_logs_in_first_and_a_forged_form_accepts_nothing(town):
    made = await town.done("POST", CODES)
    answer = await town.house.ask(f"/hub/accept-share?code={made['code']}")
    wanted = f"/hub/login?next=%2Fhub%2Faccept-share%3Fcode%3D{made['code']}"
    assert (answer.status, answer.headers["Location"]) == (302, wanted)
    for who in ("", "bob"):
        answer = await town.house.ask("/hub/accept-share", who, "POST", data={"code": made["code"]})
        assert answer.status == 403
    assert await town.received("bob") == []


@pytest.mark.parametrize("code", ["", "nonsense", "x" * 65, "%FF", "%00"])
async def test_an_unknown_code_is_no_invitation(town, code):
    answer = await town.house.ask(f"/hub/accept-share?code={code}", "bob")
    assert answer.status == (400 if code == "%00" else 404)
    status, page = await accept(town, code)
    assert (status, UNKNOWN in page) == (400, True)


async def test_ones_own_server_needs_no_invitation(town):
    made = await town.done("POST", CODES)
    assert (await town.house.ask(f"/hub/accept-share?code={made['code']}", "ada")).status == 403
    status, page = await accept(town, made["code"], "ada")
    assert (status, "your own server" in page) == (400, True)
    assert await town.received("ada") == []


async def test_a_code_that_has_expired_is_none_for_anybody(town):
    await issued(town, "a-code-of-yesterday", timedelta(seconds=-1))
    answer = await town.house.ask("/hub/accept-share?code=a-code-of-yesterday", "bob")
    assert (answer.status, UNKNOWN in await answer.text()) == (404, True)
    assert (await accept(town, "a-code-of-yesterday"))[0] == 400
    page = await town.done("GET", CODES)
    assert (page["items"], page["_pagination"]["total"]) == ([], 0)


@pytest.mark.parametrize("ends", [timedelta(seconds=-1), timedelta(days=1)])
async def test_the_log_decides_whether_a_code_still_counts(town, ends):
    """Whatever the page saw before: it expired or was revoked meanwhile."""
    id = await issued(town, "a-code", ends)
    if ends > timedelta():
        await town.house.committer.execute(SHARE_CODES, id, RevokeShareCode(), BY_TEST.follow())

    async def use(tx: Any) -> None:
        await tx.act(SHARE_CODES, id, UseShareCode(user="bob", at=tx.now))

    with pytest.raises(NotFound):
        await town.house.committer.submit(use, BY_TEST.follow())


async def test_no_log_has_a_code_that_stood_in_an_address(town):
    made = await town.done("POST", CODES)
    code = made["code"]
    with capture_logs() as lines:
        await town.house.ask(f"/hub/accept-share?code={code}")
        await town.house.ask(f"/hub/accept-share?code={code}", "bob")
        await town.house.ask(f"/hub/accept-share?code={code}", "ada")
        await accept(town, code)
        await accept(town, "", query=f"?code={code}")
        await town.done("DELETE", f"{CODES}?code={code}")
        await town.house.ask(f"/hub/accept-share?code={code}", "bob")
    assert len([line for line in lines if line["event"] == "http"]) == 7
    assert code not in str(lines)


async def test_a_sweep_forgets_codes_that_have_expired_in_batches(town, options):
    house = town.house
    over = [await issued(town, f"code-{n}", timedelta(seconds=-1)) for n in range(501)]
    await issued(town, "good", timedelta(days=1))
    unused: Any = None
    sweeps = Sweeps(house.pool, house.committer, unused, options, unused, _NoServices())
    for left in (2, 1, 1):
        await sweeps.sweep("hub.rpc.sweep.poller.one", msgspec.json.encode(Sweep()))
        assert await house.pool.fetchval("select count(*) from share_codes") == left
    stream = SHARE_CODES.stream(over[0])
    [row] = await house.pool.fetch(
        "select type, data from events where stream = $1 order by version desc limit 1", stream
    )
    assert (row["type"], "expired" in row["data"]) == ("ShareCodeRevoked", True)


class _NoServices:
    async def keep(self) -> int:
        return 0
