"""Servers shared with users and groups, over HTTP: who may, what it gives, and how long it lasts."""

import pytest

LAB = "access:servers!server=ada/lab"
PUBLIC = {"allow_named_servers": True, "public_url": "https://hub.example/"}


@pytest.mark.parametrize("options", [PUBLIC], indirect=True)
async def test_a_share_is_shown_extended_and_taken_back(town):
    model = await town.share(user="bob")
    server = {"user": {"name": "ada"}, "name": "lab", "url": "/user/ada/lab/", "ready": False}
    server["full_url"] = "https://hub.example/user/ada/lab/"
    about = {"server": server, "user": {"name": "bob"}, "group": None, "kind": "user", "scopes": [LAB]}
    assert model == {**about, "created_at": model["created_at"]}
    assert model["created_at"].endswith("Z")

    more = await town.share(user="bob", scopes=["read:servers", LAB, "read:servers!server=ada/lab"])
    assert more == {**model, "scopes": [LAB, "read:servers!server=ada/lab"]}
    assert await town.call("GET", "/users/bob/shared/ada/lab", "bob") == (200, more)
    _, listed = await town.call("GET", "/shares/ada/lab", "ada")
    assert listed == {"items": [more], "_pagination": {"offset": 0, "limit": 200, "total": 1, "next": None}}

    back = {"user": "bob", "scopes": ["access:servers"]}
    status, left = await town.call("PATCH", "/shares/ada/lab", "root", json=back)
    assert (status, left["scopes"]) == (200, ["read:servers!server=ada/lab"])
    assert await town.call("PATCH", "/shares/ada/lab", "root", json={"user": "bob"}) == (200, {})
    assert await town.call("GET", "/users/bob/shared/ada/lab", "bob") == (
        404,
        {"status": 404, "message": "No such share for user bob on ada/lab"},
    )
    assert (await town.share(user="bob"))["created_at"] > model["created_at"]


async def test_everybody_has_a_default_server_to_share(town):
    """Even if it was never started: from then on it is known."""
    assert (await town.done("GET", "/shares/bob/"))["items"] == []
    assert await town.call("PATCH", "/shares/bob/", "root", json={"user": "cleo"}) == (200, {})
    assert (await town.call("DELETE", "/shares/bob/", "root"))[0] == 204
    assert (await town.done("GET", "/users/bob/server"))["user_options"] is None  # nothing is known of it yet
    made = await town.done("POST", "/shares/bob/", {"user": "cleo"})
    assert (made["scopes"], made["server"]["url"]) == (["access:servers!server=bob/"], "/user/bob/")
    assert (await town.done("POST", "/share-codes/bob/"))["server"] == made["server"]
    assert (await town.done("GET", "/users/bob/server"))["stopped"] is True
    assert await town.call("POST", "/shares/nobody/", "root", json={"user": "cleo"}) == (
        404,
        {"status": 404, "message": "No such server: nobody/"},
    )


async def test_the_default_server_has_an_empty_name(town):
    status, model = await town.call("POST", "/shares/ada/", "root", json={"user": "bob"})
    assert (status, model["scopes"], model["server"]["name"]) == (200, ["access:servers!server=ada/"], "")
    assert (await town.call("GET", "/users/bob/shared/ada/", "bob"))[0] == 200
    assert (await town.call("DELETE", "/shares/ada/", "root"))[0] == 204
    assert await town.received("bob") == []


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 400, "Specify exactly one of `user` or `group`"),
        ({"user": "bob", "group": "crew"}, 400, "Specify exactly one of `user` or `group`"),
        ({"user": ""}, 400, "Specify exactly one of `user` or `group`"),
        ({"user": "bob", "until": 1}, 400, "Invalid JSON keys: until"),
        ({"user": 1}, 400, "Invalid body: Expected `str | null`, got `int` - at `$.user`"),
        ({"user": "dora"}, 400, "No such user: dora"),
        ({"user": "do\0ra"}, 400, "No such user: do\0ra"),
        ({"group": "none"}, 400, "No such group: none"),
        ({"user": "bob", "scopes": ["access:everything"]}, 400, "No such scope: 'access:everything'"),
        ({"user": "bob", "scopes": ["access:servers!room=1"]}, 400, "No such scope: 'access:servers!room=1'"),
        (
            {"user": "bob", "scopes": ["access:servers!server=ada/"]},
            400,
            "!server=ada/ not allowed on sharing access:servers!server=ada/, only !server=ada/lab",
        ),
        (
            {"user": "bob", "scopes": ["access:servers!user"]},
            400,
            "!user not allowed on sharing access:servers!user, only !server=ada/lab",
        ),
        (
            {"user": "bob", "scopes": ["self"]},
            403,
            "Do not have permission to grant share with scope self!server=ada/lab",
        ),
    ],
)
async def test_what_cannot_be_meant_is_not_shared(town, body, status, message):
    answer = await town.call("POST", "/shares/ada/lab", "root", json=body)
    assert answer == (status, {"status": status, "message": message})
    assert (await town.call("GET", "/shares/ada", "root"))[1]["items"] == []


@pytest.mark.parametrize(
    ("body", "scopes", "message"),
    [
        ({"user": "bob"}, ("shares",), "Need scope 'read:users:name' to share with users by name"),
        ({"user": "bob"}, ("shares", "read:users:name!user=cleo"), "Need scope 'read:users:name' to share"),
        ({"user": "no-one"}, ("shares",), "Need scope 'read:users:name' to share with users by name"),
        ({"group": "crew"}, ("shares", "read:users:name"), "Need scope 'read:groups:name' to share with"),
        ({"group": "none"}, ("shares", "read:users:name"), "Need scope 'read:groups:name' to share with"),
        ({"user": "bob", "scopes": ["start:servers"]}, ("shares", "read:users:name"), "grant share with scope start"),
        ({"user": "bob"}, ("read:shares", "access:servers"), "requires any of [shares]"),
    ],
)
async def test_nobody_gives_what_they_have_not_or_to_whom_they_may_not_know(town, body, scopes, message):
    status, answer = await town.call("POST", "/shares/ada/lab", "root", *scopes, json=body)
    assert status == 403
    assert message in answer["message"]


async def test_who_was_given_a_server_to_share_shares_that_one_only(town):
    await town.share(user="bob", scopes=["shares", "read:servers"])
    to_himself = {"user": "bob", "scopes": ["read:servers"]}
    status, model = await town.call("POST", "/shares/ada/lab", "bob", json=to_himself)
    assert (status, len(model["scopes"])) == (200, 2)
    assert (await town.call("POST", "/shares/ada/lab", "bob", json={"user": "bob", "scopes": ["tokens"]}))[0] == 403
    assert (await town.call("POST", "/shares/ada/", "bob", json=to_himself))[0] == 404
    assert (await town.call("GET", "/shares/ada", "bob"))[0] == 404
    assert (await town.call("GET", "/shares/ada/lab", "bob"))[0] == 200


async def test_a_group_share_is_every_members_and_no_ones_to_leave_alone(town):
    model = await town.share(group="crew")
    assert (model["kind"], model["group"], model["user"]) == ("group", {"name": "crew"}, None)
    await town.share(user="cleo", scopes=["read:servers"])
    assert await town.received("cleo") == [("group", [LAB]), ("user", ["read:servers!server=ada/lab"])]
    assert await town.holds("cleo") == {LAB, "read:servers!server=ada/lab"}
    assert await town.call("GET", "/groups/crew/shared/ada/lab", "root") == (200, model)
    assert (await town.call("GET", "/groups/crew/shared", "root"))[1]["items"] == [model]

    assert (await town.call("DELETE", "/users/cleo/shared/ada/lab", "cleo"))[0] == 204
    assert await town.received("cleo") == [("group", [LAB])]
    assert (await town.call("DELETE", "/users/cleo/shared/ada/lab", "cleo"))[0] == 404
    assert (await town.call("DELETE", "/groups/crew/shared/ada/lab", "cleo"))[0] == 403
    assert (await town.call("DELETE", "/groups/crew/shared/ada/lab", "root"))[0] == 204
    assert await town.holds("cleo") == set()


async def test_a_share_of_a_group_goes_with_the_membership(town, colleague):
    crew = await town.group("band", "bob")
    await town.share(group="band")
    token = await town.house.token("bob")
    for api in (town.house, colleague):
        assert LAB in (await (await api.ask("/hub/api/user", token=token)).json())["scopes"]
    await town.join(crew, "bob", leave=True)
    assert LAB not in (await (await colleague.ask("/hub/api/user", token=token)).json())["scopes"]


@pytest.mark.parametrize(
    ("method", "path", "enough", "lacking"),
    [
        ("GET", "/shares/ada", "read:shares!user=ada", "read:users:shares"),
        ("GET", "/shares/ada/lab", "read:shares!server=ada/lab", "users:shares"),
        ("PATCH", "/shares/ada/lab", "shares!server=ada/lab", "read:shares"),
        ("DELETE", "/shares/ada/lab", "shares!user=ada", "read:shares"),
        ("GET", "/users/bob/shared", "read:users:shares!user=bob", "read:shares"),
        ("GET", "/users/bob/shared/ada/lab", "users:shares!user=bob", "read:shares"),
        ("DELETE", "/users/bob/shared/ada/lab", "users:shares!user=bob", "read:users:shares"),
        ("GET", "/groups/crew/shared", "read:groups:shares!group=crew", "read:groups"),
        ("GET", "/groups/crew/shared/ada/lab", "groups:shares!group=crew", "read:shares"),
        ("DELETE", "/groups/crew/shared/ada/lab", "groups:shares!group=crew", "read:groups:shares"),
        ("GET", "/share-codes/ada", "read:shares!user=ada", "read:users:shares"),
        ("GET", "/share-codes/ada/lab", "shares!server=ada/lab", "access:servers"),
        ("POST", "/share-codes/ada/lab", "shares!server=ada/lab", "read:shares"),
        ("DELETE", "/share-codes/ada/lab", "shares!user=ada", "read:shares"),
    ],
)
async def test_every_endpoint_asks_for_its_scope(town, method, path, enough, lacking):
    await town.share(user="bob")
    await town.share(group="crew")
    body = {"json": {"user": "bob"}} if method == "PATCH" else {}
    base, _, filter = enough.partition("!")
    status, _ = await town.call(method, path, "root", lacking, **body)
    assert status == 403
    status, answer = await town.call(method, path, "root", f"{base}!user=cleo", **body)
    assert (status, answer["message"]) == (404, "No access to resources or resources not found")
    status, _ = await town.call(method, path, "root", f"{base}!{filter}", **body)
    assert status == (204 if method == "DELETE" else 200)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/shares/nobody", None),
        ("/shares/ada/none", "No such server: ada/none"),
        ("/share-codes/nobody", None),
        ("/share-codes/nobody/lab", "No such server: nobody/lab"),
        ("/users/nobody/shared", "No such user: nobody"),
        ("/users/bob/shared/ada/none", "No such share for user bob on ada/none"),
        ("/groups/none/shared", "No such group: none"),
        ("/groups/crew/shared/ada/lab", "No such share for group crew on ada/lab"),
    ],
)
async def test_what_is_not_there_is_not_found(town, path, message):
    assert await town.call("GET", path, "root") == (404, {"status": 404, "message": message})


@pytest.mark.parametrize("path", ["/shares/ada", "/share-codes/ada"])
@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
async def test_all_of_somebodys_shares_can_only_be_read(town, method, path):
    assert await town.call(method, path, "root", json={}) == (405, {"status": 405, "message": None})


@pytest.mark.parametrize(
    "body", [{"user": "dora"}, {"group": "none"}, {"user": "cleo"}, {"user": "cleo", "scopes": ["read:servers"]}]
)
async def test_taking_back_what_nobody_has_changes_nothing(town, body):
    await town.share(user="bob")
    assert await town.call("PATCH", "/shares/ada/lab", "root", json=body) == (200, {})
    assert await town.holds("bob") == {LAB}


async def test_taking_back_scopes_of_other_servers_takes_nothing_back(town):
    model = await town.share(user="bob")
    body = {"user": "bob", "scopes": ["access:servers!server=ada/"]}
    assert await town.call("PATCH", "/shares/ada/lab", "root", json=body) == (200, model)
    body["scopes"] = ["access:everything"]
    assert (await town.call("PATCH", "/shares/ada/lab", "root", json=body))[0] == 400


async def test_lists_come_in_pages_with_or_without_being_asked_to(town):
    for name in ("bob", "cleo", "root"):
        await town.share(user=name)
    _, first = await town.call("GET", "/shares/ada?limit=2", "root")
    assert [each["user"]["name"] for each in first["items"]] == ["bob", "cleo"]
    assert first["_pagination"]["total"] == 3
    following = first["_pagination"]["next"]["url"].partition("/hub/api")[2]
    _, second = await town.call("GET", following, "root")
    assert [each["user"]["name"] for each in second["items"]] == ["root"]
    usual = {"headers": {"Accept": "application/jupyterhub-pagination+json"}}
    _, asked_for = await town.call("GET", "/shares/ada", "root", **usual)
    assert (asked_for["_pagination"]["limit"], first["_pagination"]["limit"]) == (50, 2)
    _, beyond = await town.call("GET", "/shares/ada?offset=9", "root")
    assert (beyond["items"], beyond["_pagination"]["total"]) == ([], 3)
