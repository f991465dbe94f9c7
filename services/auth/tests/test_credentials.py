"""Credentials in the body of an API request: an api asks whose they are."""

import asyncio
import json

import pytest
from aiohttp import web

from hubbub_auth.authenticators import Authenticator
from hubbub_auth.testing import PASSWORD, Browser, House, with_

WHOSE = "/hub/internal/credentials"


async def whose(browser: Browser, **fields: str) -> tuple[int, str | None]:
    answer = await browser.send("POST", WHOSE, json={"auth": fields})
    return answer.status, json.loads(answer.text).get("name")


async def test_good_ones_have_a_name_and_leave_nothing(house: House, browser: Browser):
    assert await whose(browser, username=" Ada ", password=PASSWORD) == (200, "ada")
    pool = await house.pool()
    assert await pool.fetchval("select count(*) from events") == 0
    assert await pool.fetchval("select count(*) from login_attempts") == 0
    assert not browser.cookies


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"username": "ada"},
        {"password": PASSWORD},
        {"username": "ada", "password": "wrong"},
        {"username": "a/b", "password": PASSWORD},
        {"username": "a\x00b", "password": PASSWORD},
        {"username": "x" * 256, "password": PASSWORD},
        {"username": "ada", "password": "x" * 5000},
    ],
)
async def test_wrong_ones_are_nobodys(browser: Browser, fields):
    assert await whose(browser, **fields) == (403, None)


@pytest.mark.parametrize("body", [b"", b"[", b"[]", b'{"auth": null}', b'{"auth": {"username": 1}}', b"[" * 10_000])
async def test_what_is_no_credentials_is_refused_without_a_fault(browser: Browser, body):
    assert (await browser.send("POST", WHOSE, data=body)).status == 400


async def test_guesses_count_together_with_those_of_the_form(house: House, browser: Browser):
    for number in range(10):
        neighbour = await house.browser(address=f"198.51.100.{number}")
        assert await whose(neighbour, username="ada", password="guess") == (403, None)
    answer = await browser.send("POST", WHOSE, json={"auth": {"username": "ada", "password": PASSWORD}})
    assert (answer.status, answer.headers["Retry-After"]) == (429, "300")
    assert (await browser.log_in("ada")).status == 403
    assert await whose(browser, username="bob", password=PASSWORD) == (200, "bob")


async def test_guesses_without_a_name_slow_down_nobody_else(house: House, browser: Browser):
    guesser = await house.browser(address="198.51.100.1")
    answers = await asyncio.gather(*(whose(guesser, password="guess") for _ in range(40)))
    assert {status for status, _ in answers} == {403, 429}
    assert await whose(browser, password="guess") == (403, None)


class Broken(Authenticator):
    async def authenticate(self, handler, data):
        if data["password"] == "teapot":
            raise web.HTTPImATeapot
        raise ValueError(f"cannot cope with {data['password']}")


async def test_an_authenticator_that_fails_lets_nobody_in(house: House):
    browser = await house.browser(config=with_({"authenticator_class": Broken}))
    for password in ("teapot", "x"):
        assert await whose(browser, username="ada", password=password) == (403, None)


async def test_no_way_leads_there_but_for_an_api(browser: Browser):
    body = json.dumps({"auth": {"username": "ada", "password": PASSWORD}})
    for key in ("", "x"):
        assert (await browser.send("POST", WHOSE, data=body, headers={"X-Hubbub-Forward": key})).status == 403
    assert (await browser.get(WHOSE)).status == 405
