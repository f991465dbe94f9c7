"""A request that is sent again with its Idempotency-Key gets the first outcome, whoever died in between."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from burst import Faults, ask
from checks import five_checks, rows
from stack import Hub, hub

HEADERS = {"Idempotency-Key": "a-key-of-the-test"}
TWO = "api=2"

#: What to send, what comes of it, and how to see that it happened once.
ONCE = [
    pytest.param("POST", "/users/ada/tokens", {"note": "mine"}, 201, "TokenIssued", id="token"),
    pytest.param(
        "POST", "/users", {"usernames": ["bob", "cleo"]}, 201, "UserCreated", id="users", marks=pytest.mark.long
    ),
    pytest.param("DELETE", "/users/ada", None, 204, "UserDeleted", id="delete-user", marks=pytest.mark.long),
    pytest.param("PATCH", "/users/ada", {"name": "eve"}, 200, "UserRenamed", id="rename", marks=pytest.mark.long),
    pytest.param("PUT", "/users/ada/servers/lab", {}, 201, "ServerCreated", id="server", marks=pytest.mark.long),
    pytest.param("POST", "/users/ada/server", None, 202, "SpawnRequested", id="start", marks=pytest.mark.long),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "event"), ONCE)
async def test_a_death_between_commit_and_answer(
    tmp_path: Path, method: str, path: str, body: Any, status: int, event: str
):
    faults = Faults(tmp_path / "faults")
    async with hub(tmp_path / "data", environ=faults.environ, scale=TWO) as it:
        await it.user("ada")
        before = await _count(it, event)
        faults.arm("log.after_commit")
        first = await ask(it, method, path, body, headers=HEADERS)
        assert faults.struck and first[0] == status
        assert await ask(it, method, path, body, headers=HEADERS) == first
        happened = await _count(it, event) - before
        assert happened == len(body["usernames"]) if event == "UserCreated" else happened == 1
        if event == "TokenIssued":
            assert (await it.api("GET", "/user", token=first[1]["token"]))[0] == 200
        await five_checks(it)


async def test_twins_at_two_replicas_have_one_effect_and_one_answer(tmp_path: Path):
    async with hub(tmp_path / "data", scale=TWO) as it:
        await it.user("ada")
        twins = [it.api("POST", "/users/ada/tokens", {"note": "n"}, headers=HEADERS) for _ in range(20)]
        answers = await asyncio.gather(*twins)
        assert {status for status, _ in answers} == {201}
        assert len({answer["token"] for _, answer in answers}) == 1
        assert await _count(it, "TokenIssued") == 1
        created = [it.api("PUT", "/users/ada/servers/lab", headers={"Idempotency-Key": "lab"}) for _ in range(20)]
        assert {status for status, _ in await asyncio.gather(*created)} == {201}
        assert await _count(it, "ServerCreated") == 1

        # Another request, another asker, no key at all.
        other = await it.api("POST", "/users/ada/tokens", {"note": "other"}, headers=HEADERS)
        assert other == (422, {"status": 422, "message": "This Idempotency-Key was used for another request"})
        token = answers[0][1]["token"]
        mine = await it.api("POST", "/users/ada/tokens", {"note": "n"}, token=token, headers=HEADERS)
        assert mine[0] == 201 and mine[1]["token"] != token
        for key in ("", "x" * 256):
            status, refused = await it.api("POST", "/users/ada/tokens", {}, headers={"Idempotency-Key": key})
            assert (status, refused["message"]) == (400, "An Idempotency-Key has 1 to 255 characters")
        assert await _count(it, "TokenIssued") == 2

        # What is refused changes nothing, and is asked anew each time.
        again = {"Idempotency-Key": "refused at first"}
        assert (await it.api("PATCH", "/users/bob", {"name": "cleo"}, headers=again))[0] == 404
        await it.user("bob")
        assert (await it.api("PATCH", "/users/bob", {"name": "cleo"}, headers=again))[0] == 200
        assert (await it.api("PATCH", "/users/bob", {"name": "cleo"}, headers=again))[0] == 200
        kept = str(await rows(it, "select * from answers"))
        assert token not in kept and "a-key-of-the-test" not in kept
        await five_checks(it)


async def _count(hub: Hub, event: str) -> int:
    return int((await rows(hub, f"select count(*) from events where type = '{event}'"))[0][0])
