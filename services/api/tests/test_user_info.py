"""`user_info`, what logins said of people to be shown: who sees it, what it costs, and when it is gone."""

from typing import Any

import msgspec
import pytest

from hubbub_api.testing import BY_TEST

INFO = {"display_name": "Ada L.", "avatar_url": "https://img.example/ada"}


@pytest.fixture
async def people(house: Any) -> str:
    """Ada with an info, bob without; a token of an administrator."""
    for name in ("ada", "bob"):
        await house.person(name)
    await house.person("root", admin=True)
    ada = await house.views.user("ada")

    async def body(tx: Any) -> None:
        await tx.know(ada.id)
        tx.remember(f"user_info:{ada.id}", ada.id, msgspec.json.encode(INFO))

    await house.committer.submit(body, BY_TEST)
    return str(await house.token("root"))


async def said(house: Any, path: str, **asker: Any) -> Any:
    return await (await house.ask(f"/hub/api{path}", **asker)).json()


async def test_it_is_in_every_model_of_a_user(house, people):
    assert (await said(house, "/users/ada", token=people))["user_info"] == INFO
    assert (await said(house, "/users/bob", token=people))["user_info"] is None
    listed = await said(house, "/users", token=people)
    assert {user["name"]: user["user_info"] for user in listed} == {"ada": INFO, "bob": None, "root": None}
    for asker in ({"who": "ada"}, {"token": await house.token("ada")}):
        assert (await said(house, "/user", **asker))["user_info"] == INFO
    assert (await said(house, "/user", who="bob"))["user_info"] is None


@pytest.mark.parametrize(
    ("scopes", "sees"),
    [
        (("read:users", "list:users"), INFO),
        (("read:users:name", "list:users"), INFO),
        (("read:users:groups", "list:users"), INFO),  # `list:users` has the names
        (("read:users:groups",), None),
        (("read:roles:users",), None),
        (("read:users:name!user=ada",), INFO),
    ],
)
async def test_who_may_read_names_sees_it(house, people, scopes, sees):
    token = await house.token("root", *scopes)
    model = await said(house, "/users/ada", token=token)
    assert model.get("user_info") == sees and ("user_info" in model) is (sees is not None)


async def test_it_goes_with_its_person(house, people):
    assert (await house.ask("/hub/api/users/ada", method="DELETE", token=people)).status == 204
    assert await house.pool.fetchval("select count(*) from vault where key like 'user_info:%'") == 0
