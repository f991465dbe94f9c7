"""Users who are made and deleted by REST: the authenticator is told, and may refuse them; whom it drops is deleted."""

import asyncio
import contextlib
from typing import Any

import pytest

from hubbub.domain.server_messages import ClaimAttempt, ReportExit, ReportResponded, ReportStarted, StartServer
from hubbub.testing.eventually import eventually
from hubbub.views import SERVERS
from hubbub_api import unwelcome
from hubbub_api.forward import AUTHS
from hubbub_api.testing import BY_TEST, LATER

TELL = "/hub/internal/users"


@pytest.fixture
async def root(house: Any) -> str:
    await house.person("root", admin=True)
    return str(await house.token("root"))


async def announced(auth: Any, *houses: Any, **policy: Any) -> None:
    await auth.announce("login", **{"greets": True, **policy})
    for house in houses:
        await eventually(lambda house=house: house.client.app[AUTHS]._known)


async def make(house: Any, token: str, *names: str) -> tuple[int, Any]:
    """Several by `POST /users`."""
    answer = await house.ask("/hub/api/users", method="POST", token=token, json={"usernames": names})
    return answer.status, await answer.json()


async def users(house: Any) -> list[str]:
    return [
        row["name"] for row in await house.pool.fetch("select name from users where name <> 'root' order by number")
    ]


def told(auth: Any) -> list[tuple[str, bool]]:
    """Of whom, and whether they go."""
    return [(said["name"], said["gone"]) for said in auth.asked_at(TELL)]


def refuses(auth: Any, why: str = "no such account", **more: Any) -> None:
    auth.says[TELL] = (200, {"refused": why, **more})


async def test_it_hears_of_each_who_is_new(house, auth, root):
    await house.person("bob")
    await announced(auth, house)
    auth.says[TELL] = (200, {})
    status, made = await make(house, root, "Ada", "bob", "eve", "ada")
    assert (status, [user["name"] for user in made]) == (201, ["ada", "eve"])
    assert (await house.ask("/hub/api/users/gus", method="POST", token=root)).status == 201
    assert (await house.ask("/hub/api/users/gus", method="POST", token=root)).status == 409
    assert (await make(house, root, "ada", "eve"))[0] == 409
    assert told(auth) == [("ada", False), ("eve", False), ("gus", False)]


async def test_nothing_is_made_of_whom_it_refuses(house, auth, root):
    await announced(auth, house)
    auth.says[TELL] = (200, {})

    async def refuse_the_second() -> None:
        if len(auth.asked) == 2:
            refuses(auth)
        if len(auth.asked) == 3:
            auth.says[TELL] = (200, {})

    auth.before = refuse_the_second
    status, said = await make(house, root, "ada", "eve", "gus")
    assert (status, said["message"]) == (400, "Failed to create user eve: no such account")
    assert told(auth) == [("ada", False), ("eve", False), ("ada", True)]
    assert await users(house) == []


async def test_the_words_are_jupyterhubs(house, auth, root):
    await announced(auth, house)
    refuses(auth, "boom")
    answer = await house.ask("/hub/api/users/ada", method="POST", token=root)
    assert (answer.status, (await answer.json())["message"]) == (400, "Failed to create user: ada")
    refuses(auth, "Invalid username", invalid=True)
    status, said = await make(house, root, "ada")
    assert (status, said["message"]) == (400, "Invalid username: ada")
    assert await users(house) == []


async def test_nobody_is_made_or_deleted_while_it_cannot_be_told(house, auth, root):
    await house.person("bob")
    await announced(auth, house)
    auth.says[TELL] = (500, {})
    assert (await make(house, root, "ada"))[0] == 503
    assert (await house.ask("/hub/api/users/bob", method="DELETE", token=root)).status == 503
    assert await users(house) == ["bob"]


async def test_it_is_not_told_again_of_what_was_done(house, auth, root):
    """A request that is sent again with its key."""
    await announced(auth, house)
    auth.says[TELL] = (200, {})
    for _ in range(2):
        answer = await house.ask(
            "/hub/api/users", method="POST", token=root, json={"usernames": ["ada"]}, headers={"Idempotency-Key": "k"}
        )
        assert answer.status == 201
    assert told(auth) == [("ada", False)]


async def test_it_hears_of_who_is_deleted_and_may_keep_them(house, auth, root):
    await house.person("ada")
    id = (await house.views.user("ada")).id
    await announced(auth, house)
    refuses(auth, "not now")
    answer = await house.ask("/hub/api/users/ada", method="DELETE", token=root)
    assert (answer.status, (await answer.json())["message"]) == (500, "Internal Server Error")
    assert await users(house) == ["ada"]
    auth.says[TELL] = (200, {})
    assert (await house.ask("/hub/api/users/ada", method="DELETE", token=root)).status == 204
    assert auth.asked_at(TELL)[-1] == {"name": "ada", "user": id, "gone": True}
    assert await users(house) == []


async def test_it_is_not_bothered_if_it_does_not_care(house, auth, root):
    await announced(auth, house, greets=False)
    assert (await make(house, root, "ada"))[0] == 201
    assert (await house.ask("/hub/api/users/ada", method="DELETE", token=root)).status == 204
    assert auth.asked == []


# Whom it does not have any more --------------------------------------------------------------


@contextlib.asynccontextmanager
async def deleting(*houses: Any) -> Any:
    tasks = [asyncio.create_task(unwelcome.delete_refused(house.client.app)) for house in houses]
    yield
    for task in tasks:
        assert not task.done()
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def refuse(auth: Any, *ids: str) -> None:
    """As an auth that starts does."""
    for id in ids:
        await auth._pool.execute("insert into refused (user_id) values ($1) on conflict do nothing", id)
    await auth._pool.execute("notify refused")


async def test_whom_it_refuses_is_deleted_once(house, colleague, auth, database):
    for name in ("ada", "bob", "eve"):
        await house.person(name)
    ids = {name: (await house.views.user(name)).id for name in ("ada", "bob", "eve")}
    await refuse(auth, ids["ada"])  # before anybody listens
    async with deleting(house, colleague):
        await eventually(lambda: _are(house, ["bob", "eve"]))
        await refuse(auth, ids["eve"], ids["ada"], "nobody's")
        await eventually(lambda: _are(house, ["bob"]))
        await eventually(lambda: _settled(house))
    assert await house.pool.fetchval("select count(*) from events where type = 'UserDeleted'") == 2
    assert (await house.ask("/hub/api/user", "ada")).status == 403
    assert (await house.ask("/hub/api/user", "bob")).status == 200


@pytest.mark.parametrize("options", [{"tornado_settings": {"slow_stop_timeout": 0.01}}], indirect=True)
async def test_their_servers_are_stopped_first(house, auth, monkeypatch):
    monkeypatch.setattr(unwelcome, "AGAIN", 0.05)
    await house.person("ada")
    user = await house.views.user("ada")
    up = (
        StartServer(at=LATER, pool="default", prefix="/user/ada/", deadline=LATER),
        ClaimAttempt(attempt=1, worker="w", host="h", token="t", deadline=LATER),
        ReportStarted(attempt=1, worker="w", url="http://127.0.0.1:1", deadline=LATER),
        ReportResponded(attempt=1, worker="w", deadline=LATER),
    )
    server = await house.server("ada", "", *up)
    await refuse(auth, user.id)
    async with deleting(house):
        await eventually(lambda: _is_kind(house, "Stopping"))
        assert await users(house) == ["ada"]
        exit = ReportExit(attempt=1, worker="w", status="0", deadline=LATER)
        await house.committer.execute(SERVERS, server, exit, BY_TEST.follow())
        await eventually(lambda: _are(house, []), 20)


async def _is_kind(house: Any, kind: str) -> bool:
    return bool(await house.pool.fetchval("select kind from servers") == kind)


async def _are(house: Any, names: list[str]) -> bool:
    return await users(house) == names


async def _settled(house: Any) -> bool:
    return bool(await house.pool.fetchval("select count(*) = 0 from refused"))
