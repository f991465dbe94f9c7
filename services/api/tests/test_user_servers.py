"""/users/{user}/server over HTTP: default servers that nobody has touched, names, and full addresses."""

import asyncio
from typing import Any

import pytest

URL = "https://hub.example:8443"
LIMITED = {"allow_named_servers": True, "named_server_limit_per_user": 1}


@pytest.fixture
async def root(house) -> str:
    """A token of an administrator; there is ada, too."""
    await house.person("ada")
    await house.person("root", admin=True)
    return await house.token("root")


async def said(house, path: str, token: str, method: str = "GET", **more: Any) -> tuple[int, Any]:
    answer = await house.ask(f"/hub/api{path}", token=token, method=method, **more)
    return answer.status, await answer.json() if await answer.read() else None


async def servers_made(house) -> int:
    return int(await house.pool.fetchval("select count(*) from servers"))


async def test_a_default_server_is_there_before_anything_is_known_of_it(house, root):
    status, model = await said(house, "/users/ada/server", root)
    assert (status, model) == (
        200,
        {
            "name": "",
            "display_name": "",
            "full_name": "ada/",
            "last_activity": None,
            "started": None,
            "pending": None,
            "ready": False,
            "stopped": True,
            "url": "/user/ada/",
            "user_options": None,
            "progress_url": "/hub/api/users/ada/server/progress",
            "full_url": None,
            "full_progress_url": None,
            "state": None,
        },
    )
    assert (await said(house, "/users/ada?include_stopped_servers", root))[1]["servers"] == {"": model}
    assert (await said(house, "/users/ada", root))[1]["servers"] == {}
    assert (await said(house, "/users/eve/server", root))[0] == 404
    assert await servers_made(house) == 0


async def test_it_is_made_once_however_many_stop_or_change_it(house, root):
    asked = [
        *(said(house, "/users/ada/server", root, "DELETE") for _ in range(4)),
        *(said(house, "/users/ada/server", root, "PATCH", json={"user_options": {"a": n}}) for n in range(4)),
    ]
    assert {status for status, _ in await asyncio.gather(*asked)} == {200, 204}
    assert await servers_made(house) == 1
    assert (await said(house, "/users/ada/server", root))[1]["user_options"].keys() == {"a"}


async def test_a_new_name_leaves_what_it_is_shown_as(house, root):
    await said(house, "/users/ada/servers/one", root, "PUT")
    _, model = await said(house, "/users/ada/servers/one", root, "PATCH", json={"name": "two"})
    assert (model["name"], model["display_name"]) == ("two", "one")


@pytest.mark.parametrize("name", ["one", "two", ""])
async def test_a_name_that_a_server_has_is_taken(house, root, name):
    for server in ("one", "two"):
        await said(house, f"/users/ada/servers/{server}", root, "PUT")
    refused = {"status": 409, "message": f"ada already has a server named {name!r}"}
    assert await said(house, "/users/ada/servers/one", root, "PATCH", json={"name": name}) == (409, refused)


async def test_no_server_is_called_what_the_database_cannot_be_asked_for(house, root):
    await said(house, "/users/ada/servers/one", root, "PUT")
    status, body = await said(house, "/users/ada/servers/one", root, "PATCH", json={"name": "a\0b"})
    assert (status, "name" in body["message"]) == (400, True)


@pytest.mark.parametrize("options", [LIMITED], indirect=True)
async def test_a_default_server_that_gets_a_name_counts(house, root):
    assert (await said(house, "/users/ada/server", root, "PATCH", json={"name": "one"}))[0] == 200
    status, refused = await said(house, "/users/ada/server", root, "PATCH", json={"name": "two"})
    assert status == 400 and "maximum of 1 named servers" in refused["message"]
    assert (await said(house, "/users/ada/servers/one", root, "PATCH", json={"name": "two"}))[0] == 200
    assert (await said(house, "/users/ada/servers/three", root, "PUT"))[0] == 400


@pytest.mark.parametrize("options", [{}], indirect=True)
async def test_there_are_no_names_to_give_where_named_servers_are_off(house, root):
    refused = {"status": 400, "message": "Named servers are not enabled."}
    assert await said(house, "/users/ada/server", root, "PATCH", json={"name": "one"}) == (400, refused)
    assert await servers_made(house) == 0


async def test_a_change_that_is_repeated_is_answered_to_the_letter(house, root):
    headers, body = {"Idempotency-Key": "once"}, {"display_name": "Mine"}
    answers = [
        await house.ask("/hub/api/users/ada/server", token=root, method="PATCH", headers=headers, json=body)
        for _ in range(2)
    ]
    assert {answer.headers["Content-Type"] for answer in answers} == {"application/json; charset=UTF-8"}
    assert await answers[0].text() == await answers[1].text()


@pytest.mark.parametrize("options", [{"public_url": URL, "base_url": "/lab/"}], indirect=True)
async def test_full_addresses_begin_with_the_public_one(house, root):
    path = "/lab/hub/api/users/ada?include_stopped_servers"
    model = (await (await house.ask(path, token=root)).json())["servers"][""]
    assert (model["full_url"], model["full_progress_url"]) == (
        f"{URL}/lab/user/ada/",
        f"{URL}/lab/hub/api/users/ada/server/progress",
    )
