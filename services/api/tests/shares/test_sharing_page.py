"""The page on which a server is shared: what it offers to whom, and what it tells of shares and links."""

import re

import pytest

HELD = {
    "allow_named_servers": True,
    "load_roles": [{"name": "user", "scopes": ["self", "shares!user"]}],
}
KNOWS = {
    "allow_named_servers": True,
    "load_roles": [{"name": "user", "scopes": ["self", "shares!user", "read:users:name", "read:groups:name"]}],
}


async def shown(town, who: str = "ada", path: str = "/hub/sharing/ada/lab") -> str:
    answer = await town.house.ask(path, who)
    assert answer.status == 200
    text: str = await answer.text()
    return text


async def test_it_is_for_those_who_may_know(town):
    for path, status in (("/hub/sharing/ada/lab", 404), ("/hub/sharing/ada", 404)):
        assert (await town.house.ask(path, "bob")).status == status
    assert (await town.house.ask("/hub/sharing/ada/nothing", "root")).status == 404
    assert (await town.house.ask("/hub/sharing/nobody", "root")).status == 404
    assert "Nobody but you and ada can use it now." in await shown(town, "root")


@pytest.mark.parametrize("options", [HELD], indirect=True)
async def test_whoever_knows_nobody_by_name_shares_by_a_link(town):
    page = await shown(town)
    assert "Make link" in page
    assert 'name="user"' not in page
    assert 'data-path="share-codes/ada/lab"' in page
    assert 'data-path="share-codes/ada/"' in await shown(town, path="/hub/sharing/ada")


@pytest.mark.parametrize("options", [KNOWS], indirect=True)
async def test_people_and_groups_are_there_with_what_they_may_do(town):
    await town.share(user="bob", scopes=["access:servers", "servers"])
    await town.share(group="crew")
    page = re.sub(r"\s+", " ", await shown(town))
    assert 'name="user"' in page
    assert 'name="group"' in page
    assert "May open it and work in it; start and stop it." in page
    assert "<h2>The group crew</h2>" in page
    assert """data-body='{"user": "bob"}'""" in page


async def test_a_link_tells_who_has_used_it(town):
    made = await town.done("POST", "/share-codes/ada/lab", {})
    assert "Nobody has used it yet." in await shown(town, "root")
    assert made["code"] not in await shown(town, "root")
    fields = {"code": made["code"], "_xsrf": town.house.xsrf("bob")}
    await town.house.ask("/hub/accept-share", "bob", "POST", data=fields)
    assert "Used by bob" in await shown(town, "root")
