"""A token for a name and a password, without a browser: `auth` in the body of POST /users/{user}/tokens."""

import json
from typing import Any

import pytest

from browser import Browser
from checks import rows
from stack import Hub

pytestmark = pytest.mark.asyncio(loop_scope="module")
PASSWORD = "password-of-everyone"


async def asked(house: Hub, name: str, auth: Any, **headers: str) -> tuple[int, Any]:
    """By nobody, from a page of another site even: there is nothing to forge."""
    async with house.session.post(
        f"{house.url}hub/api/users/{name}/tokens",
        json={"note": "by password", "auth": auth},
        headers={"Origin": "https://elsewhere.example", **headers},
    ) as response:
        return response.status, await response.json()


def of(name: str, password: str = PASSWORD) -> dict[str, str]:
    return {"username": name, "password": password}


async def test_whoever_has_a_password_gets_a_token(shared_house: Hub) -> None:
    await shared_house.user("ada")
    status, made = await asked(shared_house, "ada", of(" Ada "))
    assert (status, made["user"], made["note"]) == (201, "ada", "by password")
    status, model = await shared_house.api("GET", "/user", token=made["token"])
    assert (status, model["name"], model["session_id"]) == (200, "ada", None)


async def test_a_password_is_not_written_down(shared_house: Hub) -> None:
    await shared_house.user("ada")
    secret = "a-guess-that-nobody-else-makes"
    assert (await asked(shared_house, "ada", of("ada", secret), **{"Idempotency-Key": "k"}))[0] == 403
    assert (await asked(shared_house, "ada", of("ada"), **{"Idempotency-Key": "k"}))[0] == 201
    logs = "".join(path.read_text(errors="replace") for path in (shared_house.data / "log").glob("*.log"))
    events = str(await rows(shared_house, "select data, meta from events"))
    for word in (secret, PASSWORD):
        assert word not in logs
        assert word not in events


async def test_nobody_gets_one_and_everybody_is_told_the_same(shared_house: Hub) -> None:
    await shared_house.user("ada")
    await shared_house.user("bob")
    said = {"status": 403, "message": None}
    wrong = of("ada", "wrong")
    for name, auth in (
        ("ada", wrong),
        ("ada", {}),
        ("ada", None),
        ("ada", "ada"),
        ("ada", {"username": ["ada"]}),
        ("unknown", of("unknown")),
        ("nobody", wrong),
    ):
        assert await asked(shared_house, name, auth) == (403, said), (name, auth)
    status, refused = await asked(shared_house, "bob", of("ada"))
    assert (status, refused["message"]) == (403, "User bob not found or no permissions to generate tokens")


async def test_a_repeated_request_gets_the_same_token(shared_house: Hub) -> None:
    await shared_house.user("ada")
    once = await asked(shared_house, "ada", of("ada"), **{"Idempotency-Key": "once"})
    assert once[0] == 201
    assert await asked(shared_house, "ada", of("ada"), **{"Idempotency-Key": "once"}) == once
    assert (await asked(shared_house, "ada", of("ada", "wrong"), **{"Idempotency-Key": "once"}))[0] == 403


async def test_the_way_that_apis_ask_is_no_way_for_anybody_else(shared_house: Hub) -> None:
    place, body = f"{shared_house.url}hub/internal/credentials", json.dumps({"auth": of("ada")})
    for headers in ({}, {"X-Hubbub-Forward": "x"}, {"Authorization": "token token-of-the-test-service"}):
        async with shared_house.session.post(place, data=body, headers=headers) as response:
            assert response.status in (404, 405)


async def test_guesses_are_slowed_down_together_with_those_of_the_form(shared_house: Hub) -> None:
    """The last of this module: the address of the tests has no more tries afterwards."""
    await shared_house.user("ada")
    statuses = [(await asked(shared_house, "ada", of("ada", "guess")))[0] for _ in range(11)]
    assert statuses[-1] == 429
    async with shared_house.session.post(
        f"{shared_house.url}hub/api/users/ada/tokens", json={"auth": of("ada")}
    ) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "300")
    async with Browser(shared_house.url) as browser:
        status, page = await browser.login("ada", PASSWORD)
        assert (status, "Too many failed logins" in page) == (403, True)
