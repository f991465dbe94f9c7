"""The client of JupyterHub's documentation ("Starting servers with the JupyterHub API"), and others' habits."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from stack import MANY, Hub, eventually, hub

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["", MANY], ids=["one of each", "several of each"])
async def slow(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> AsyncIterator[Hub]:
    """Answers 202 after 0.3 s."""
    data = tmp_path_factory.mktemp("slow") / "data"
    async with hub(data, scale=request.param, environ={"TEST_SLOW_SPAWN": "0.3"}) as made:
        yield made


async def events_of(house: Hub, url: str, token: str) -> list[dict[str, Any]]:
    headers = {"Authorization": f"token {token}"}
    found = []
    async with house.session.get(house.url.rstrip("/") + url, headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        async for line in response.content:
            if line.startswith(b"data:"):
                found.append(json.loads(line.partition(b":")[2]))
    return found


async def test_the_documentations_client(slow: Hub) -> None:
    status, output = await slow.command("token", "admin")
    assert status == 0, output
    token = output.splitlines()[-1]
    await slow.user("ada")

    status, _ = await slow.api("POST", "/users/ada/servers/", {"delay": 1.5}, token=token)
    assert status == 202
    _, model = await slow.api("GET", "/users/ada", token=token)
    server = model["servers"][""]
    assert (server["pending"], server["ready"]) == ("spawn", False)

    events = await events_of(slow, server["progress_url"], token)
    assert events[-1]["ready"] is True
    assert all("ready" not in event for event in events[:-1])
    _, model = await slow.api("GET", "/users/ada", token=token)
    server = model["servers"][""]
    assert (server["pending"], server["ready"], server["url"]) == (None, True, "/user/ada/")
    assert await slow.standin("ada")

    status, _ = await slow.api("DELETE", "/users/ada/servers/", token=token)
    assert status in (202, 204)

    async def gone() -> bool:
        _, now = await slow.api("GET", "/users/ada", token=token)
        return now["servers"] == {}

    await eventually(gone, 10, "the server is gone")


async def test_a_late_listener_sees_every_frame(slow: Hub) -> None:
    await slow.user("bob")
    status, _ = await slow.api("POST", "/users/bob/server", {"delay": 2})
    assert status == 202
    _, model = await slow.api("GET", "/users/bob")
    url = model["servers"][""]["progress_url"]
    events = await events_of(slow, url, "token-of-the-test-service")
    assert [event["progress"] for event in events] == [0, 50, 100]
    again = await events_of(slow, url, "token-of-the-test-service")
    assert [event.get("ready") for event in again] == [True]


async def test_a_failed_start_says_why(slow: Hub) -> None:
    await slow.user("cleo")
    status, _ = await slow.api("POST", "/users/cleo/server", {"fail": 3, "delay": 1})
    assert status == 202
    _, model = await slow.api("GET", "/users/cleo")
    events = await events_of(slow, model["servers"][""]["progress_url"], "token-of-the-test-service")
    assert events[-1]["failed"] is True and "status=3" in events[-1]["message"]
    status, text = await slow.api("GET", "/users/cleo/server/log")
    assert status == 200 and "told to fail" in text
    status, _ = await slow.api("POST", "/users/cleo/server")
    assert status == 202


async def test_a_start_with_an_idempotency_key_has_one_effect(slow: Hub) -> None:
    await slow.user("dora")
    headers = {"Idempotency-Key": "once"}
    first = await slow.api("POST", "/users/dora/tokens", {"note": "n"}, headers=headers)
    second = await slow.api("POST", "/users/dora/tokens", {"note": "n"}, headers=headers)
    assert first == second and first[0] == 201
    _, tokens = await slow.api("GET", "/users/dora/tokens")
    assert len(tokens["api_tokens"]) == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", "/users/nobody", None, 404, None),
        ("GET", "/nowhere", None, 404, None),
        ("POST", "/users", {}, 400, "Must specify at least one user to create"),
        ("POST", "/users", {"usernames": ["a/b"]}, 400, "Invalid username: a/b"),
        ("POST", "/users", {"usernames": ["x"], "frobnicate": 1}, 400, "Invalid JSON keys: frobnicate"),
        ("GET", "/users?limit=many", None, 400, "Invalid limit: 'many' is not an integer"),
        ("GET", "/users?state=odd", None, 400, "Unrecognized state filter: 'odd'"),
        ("POST", "/users/ada/servers/Bad_Name", None, 400, None),
        ("POST", "/users/ada/server", [1], 400, "Body must be a JSON dict or empty"),
        ("POST", "/users/ada/server", {"x": "y" * 131_072}, 400, "user_options take 131080 bytes; 131072 are allowed"),
        ("POST", "/users/ada/tokens", {"expires_in": 0}, 400, "expires_in must be a positive integer or null, not 0"),
        ("POST", "/users/ada/tokens", {"scopes": ["nonsense"]}, 400, "No such scope: 'nonsense'"),
        ("POST", "/users/ada/activity", {}, 400, "body must contain at least one of `last_activity` or `servers`"),
        ("GET", "/users/ada/server/progress", None, 404, None),
    ],
)
async def test_bad_requests_change_nothing_and_say_why(
    shared_house: Hub, method: str, path: str, body: Any, status: int, message: str | None
) -> None:
    await shared_house.user("ada")
    got, answer = await shared_house.api(method, path, body)
    assert (got, answer["status"]) == (status, status), answer
    if message is not None:
        assert answer["message"] == message


async def test_large_options_of_many_servers_reach_their_workers(shared_house: Hub) -> None:
    names = [f"large{n}" for n in range(12)]
    for name in names:
        await shared_house.user(name)
    starts = (shared_house.api("POST", f"/users/{name}/server", {"x": "y" * 120_000}) for name in names)
    assert {status for status, _ in await asyncio.gather(*starts)} <= {201, 202}
    for name in names:
        await shared_house.api("DELETE", f"/users/{name}/server")


async def test_malformed_json_is_a_400(shared_house: Hub) -> None:
    headers = {"Authorization": "token token-of-the-test-service"}
    url = f"{shared_house.url}hub/api/users"
    async with shared_house.session.post(url, data=b"{oops", headers=headers) as response:
        assert response.status == 400
        assert (await response.json())["message"] == "Invalid JSON in body of request"


async def test_who_may_not_is_told_so(shared_house: Hub) -> None:
    assert await shared_house.api("GET", "/users", token="wrong-token") == (
        403,
        {"status": 403, "message": "Missing or invalid credentials."},
    )
    await shared_house.user("ada")
    await shared_house.user("bob")
    _, made = await shared_house.api("POST", "/users/ada/tokens", {"scopes": ["read:users!user=ada"]})
    assert (await shared_house.api("GET", "/users/ada", token=made["token"]))[0] == 200
    status, body = await shared_house.api("GET", "/users/bob", token=made["token"])
    assert (status, body["message"]) == (404, "No access to resources or resources not found")
    status, body = await shared_house.api("DELETE", "/users/bob", token=made["token"])
    assert status == 403 and "requires any of [delete:users]" in body["message"]
