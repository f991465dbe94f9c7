"""What the operator's hooks are told of a person, what they may keep, and what people are shown when they refuse."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from burst import settle_in, start
from checks import five_checks
from stack import HERE, Hub, eventually, hub

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def it(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    async with hub(tmp_path_factory.mktemp("hooks") / "data", config=HERE / "config_hooks.py") as made:
        yield made


async def kept(it: Hub, name: str) -> object:
    status, model = await it.api("GET", f"/users/{name}")
    assert status == 200, model
    return model["auth_state"]


async def test_a_hook_sees_groups_and_auth_state_and_can_keep_something(it: Hub):
    """Ada was made by the configuration, with her group."""
    assert (await it.api("PATCH", "/users/ada", {"auth_state": {"token": "a-secret"}}))[0] == 200
    await start(it, "ada")
    assert await kept(it, "ada") == {"token": "a-secret", "groups": {"gpu": {"quota": 3}}, "starts": 1}
    assert (await it.api("DELETE", "/users/ada/server"))[0] == 204
    await start(it, "ada")
    assert await kept(it, "ada") == {"token": "a-secret", "groups": {"gpu": {"quota": 3}}, "starts": 2}
    await five_checks(it)


async def test_a_servers_token_may_do_what_was_worked_out_and_its_owner_may(it: Hub):
    await settle_in(it, ["bea"])
    await start(it, "bea")
    status, body = await it.api("GET", "/users/bea/tokens")
    assert status == 200, body
    [token] = [token for token in body["api_tokens"] if token["note"] == "Server at /user/bea/"]
    assert {"read:users:name!user=bea", "users:activity!user=bea"} <= set(token["scopes"])
    assert not [scope for scope in token["scopes"] if scope.startswith(("admin:", "access:servers"))]


async def last_frame(it: Hub, name: str) -> dict[str, object]:
    status, text = await it.api("GET", f"/users/{name}/server/progress")
    assert status == 200, text
    *_, last = str(text).strip().split("\n\n")
    frame: dict[str, object] = json.loads(last.removeprefix("data: "))
    return frame


async def test_the_last_frame_of_a_start_is_as_the_hook_has_made_it(it: Hub):
    """For who listens from the first on, and for who comes when all is over."""
    await settle_in(it, ["dora"])
    starting = asyncio.create_task(start(it, "dora", delay=1))

    async def is_on_its_way() -> bool:
        return bool((await it.model("dora"))["pending"] == "spawn")

    await eventually(is_on_its_way, 10, "the start was asked for")
    expected = {
        "progress": 100,
        "ready": True,
        "message": "Come in, dora",
        "html_message": 'Server ready at <a href="/user/dora/">/user/dora/</a>',
        "url": "/user/dora/lab",
    }
    assert await last_frame(it, "dora") == expected
    await starting
    assert await last_frame(it, "dora") == expected


async def test_who_is_refused_reads_why(it: Hub):
    await settle_in(it, ["cleo"])
    refused = await it.api("POST", "/users/cleo/server", {"user_options": {"refused": True}})
    assert refused == (403, {"status": 403, "message": "No licence for R"})
    assert await last_frame(it, "cleo") == {
        "progress": 100,
        "failed": True,
        "message": "Spawn failed: No licence for R",
        "html_message": 'No licence: <a href="/buy">buy one</a>',
    }
    await five_checks(it)
