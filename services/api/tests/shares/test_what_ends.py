"""What becomes of shares and of their codes when somebody or something is renamed, deleted, and made anew."""

import asyncio

import pytest

from hubbub.testing.eventually import eventually

LAB = "access:servers!server=ada/lab"


async def test_renaming_anybody_or_anything_keeps_the_share_by_todays_names(town):
    await town.share(user="bob")
    await town.share(group="crew")
    code = await town.done("POST", "/share-codes/ada/lab")
    await town.done("PATCH", "/users/ada", {"name": "augusta"})
    await town.done("PATCH", "/users/augusta/servers/lab", {"name": "desk"})
    await town.done("PATCH", "/users/bob", {"name": "robert"})
    desk = LAB.replace("ada/lab", "augusta/desk")
    assert await town.holds("robert") == await town.holds("cleo") == {desk}
    model = await town.done("GET", "/users/robert/shared/augusta/desk")
    assert (model["scopes"], model["user"]["name"], model["server"]["url"]) == (
        [desk],
        "robert",
        "/user/augusta/desk/",
    )
    [kept] = (await town.done("GET", "/share-codes/augusta/desk"))["items"]
    assert (kept["id"], kept["scopes"]) == (code["id"], [desk])
    # Whoever takes the old names gets nothing by them.
    await town.done("POST", "/users/ada")
    await town.done("POST", "/users/bob")
    await town.house.server("ada", "lab")
    assert await town.holds("bob") == set()
    assert (await town.done("GET", "/shares/ada"))["items"] == []


@pytest.mark.parametrize(
    ("gone", "body"),
    [("/users/ada/servers/lab", {"remove": True}), ("/users/ada", None)],
    ids=["a server", "its owner"],
)
async def test_a_new_server_of_the_same_name_is_shared_with_nobody(town, gone, body):
    await town.share(user="bob")
    await town.share(group="crew")
    code = await town.done("POST", "/share-codes/ada/lab")
    await town.done("DELETE", gone, body)
    assert await town.received("bob") == await town.received("cleo") == []
    if body is None:
        await town.done("POST", "/users/ada")
    await town.house.server("ada", "lab")
    assert await town.holds("bob") == await town.holds("cleo") == set()
    for listing in ("/shares/ada", "/shares/ada/lab", "/share-codes/ada", "/groups/crew/shared"):
        assert (await town.done("GET", listing))["items"] == []
    assert (await town.house.ask(f"/hub/accept-share?code={code['code']}", "bob")).status == 404
    posted = {"_xsrf": town.house.xsrf("bob"), "code": code["code"]}
    assert (await town.house.ask("/hub/accept-share", "bob", "POST", data=posted)).status == 400


async def test_a_new_user_of_the_same_name_is_given_nothing(town):
    await town.share(user="bob")
    await town.done("DELETE", "/users/bob")
    assert (await town.done("GET", "/shares/ada"))["items"] == []
    await town.done("POST", "/users/bob")
    assert await town.holds("bob") == set()
    assert await town.received("bob") == []


async def test_a_new_group_of_the_same_name_is_given_nothing(town):
    await town.share(group="crew")
    await town.done("DELETE", "/groups/crew")
    assert await town.holds("cleo") == set()
    await town.done("POST", "/groups/crew", {"users": ["cleo"]})
    assert await town.holds("cleo") == set()
    assert (await town.done("GET", "/groups/crew/shared"))["items"] == []
    assert (await town.done("GET", "/shares/ada/lab"))["items"] == []


async def test_no_row_is_left_of_what_has_gone(town):
    await town.share(user="bob")
    await town.share(group="crew")
    await town.done("POST", "/share-codes/ada/lab")
    await town.done("DELETE", "/users/ada")
    for table in ("shares", "share_codes"):
        assert await town.house.pool.fetchval(f"select count(*) from {table}") == 0


SERVER_GONE = ("/users/ada/servers/lab", {"remove": True})
BOB_GONE = ("/users/bob", None)
WAITING = """
    select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()
"""


@pytest.mark.parametrize(
    ("gone", "path", "body", "status"),
    [
        (SERVER_GONE, "/shares/ada/lab", {"user": "bob"}, 404),
        (SERVER_GONE, "/share-codes/ada/lab", None, 404),
        (SERVER_GONE, "", None, 400),
        (BOB_GONE, "/shares/ada/lab", {"user": "bob"}, 400),
        (BOB_GONE, "/share-codes/bob/", None, 404),
        (BOB_GONE, "", None, 400),
    ],
)
async def test_what_goes_while_it_is_being_shared_is_not_shared(town, gone, path, body, status):
    """Both requests have looked before either is decided; the log takes them in their order."""
    house = town.house
    code = (await town.done("POST", "/share-codes/ada/lab"))["code"]
    token = await house.token("root")
    async with house.pool.acquire() as other, other.transaction():
        await other.execute("select from log_head for update")
        first = asyncio.create_task(house.ask(f"/hub/api{gone[0]}", "", "DELETE", token, json=gone[1]))
        await eventually(lambda: house.pool.fetchval(WAITING))
        if path:
            second = asyncio.create_task(house.ask(f"/hub/api{path}", "", "POST", token, json=body))
        else:
            form = {"_xsrf": house.xsrf("bob"), "code": code}
            second = asyncio.create_task(house.ask("/hub/accept-share", "bob", "POST", data=form))
        await eventually(lambda: not house.committer._queue.empty())
    assert [(await first).status, (await second).status] == [204, status]
    assert await house.pool.fetchval("select count(*) from shares") == 0
    assert await house.pool.fetchval("select count(*) from share_codes") == (gone is BOB_GONE)
