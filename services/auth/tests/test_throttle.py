"""Failed logins: counted over all auths, slow for strangers, not in the way of whoever is known, and kept in bounds."""

import asyncio
import json

import pytest
from tornado.web import HTTPError

from hubbub_auth import device
from hubbub_auth.attempt import TOO_MANY, WRONG
from hubbub_auth.authenticators import Authenticator
from hubbub_auth.login import EXPIRED
from hubbub_auth.testing import COOKIE_SECRET, PASSWORD, Browser, House, with_
from hubbub_auth.throttle import KEPT_PER_ADDRESS, Throttle

HIDDEN = "correct horse battery staple"


class Moody(Authenticator):
    """Says what its password says."""

    async def authenticate(self, handler, data):
        if data["password"].isdigit():
            raise HTTPError(int(data["password"]), "because")
        return data["username"] if data["password"] == PASSWORD else None

    def normalize_username(self, username):
        return username.lower().partition("@")[0]


MOODY = with_({"authenticator_class": Moody}, Authenticator={"allow_all": True, "blocked_users": {"eve"}})


async def reasons(house: House) -> list[str]:
    rows = await (await house.pool()).fetch("select why from login_attempts order by at")
    return [row["why"] for row in rows]


async def guess(house: House, auths: list, name: str, *, times: int = 10, first: int = 0) -> None:
    """From as many places, at one auth after the other."""
    for place in range(first, first + times):
        guesser = await house.browser(auths[place % len(auths)], address=f"198.51.100.{place}")
        assert WRONG in (await guesser.log_in(name, "guess")).text


async def test_guesses_are_counted_over_all_auths_and_one_that_has_begun_anew(house: House):
    await guess(house, [await house.auth(), await house.auth()], "ada")
    after = await house.browser(await house.auth(), address="192.0.2.1")
    answer = await after.log_in("ada")
    assert (answer.status, TOO_MANY in answer.text, answer.headers["Retry-After"]) == (403, True, "300")


async def test_a_browser_that_has_logged_in_before_gets_in_while_others_guess(house: House):
    """By any auth, from wherever it is now; and nobody else does."""
    auths = [await house.auth(), await house.auth()]
    owner = await house.browser(auths[0], address="192.0.2.1")
    await owner.log_in("ada")
    await owner.get("/hub/logout")
    await guess(house, auths, "ada")
    stranger = await house.browser(auths[1], address="192.0.2.2")
    assert TOO_MANY in (await stranger.log_in("ada")).text
    moved = await house.browser(auths[1], address="198.51.100.3")
    cookie = {"Cookie": f"{device.COOKIE}={owner.cookies[device.COOKIE]}"}
    form = await moved.get("/hub/login", headers=cookie)
    both = {"Cookie": f"{cookie['Cookie']}; _xsrf={moved.cookies['_xsrf']}"}
    fields = {"username": "Ada", "password": PASSWORD, "_xsrf": form.xsrf}
    assert (await moved.post("/hub/login", fields, headers=both)).status == 302


async def test_nor_do_those_of_its_address_stand_in_its_way(house: House):
    auth = await house.auth()
    owner = await house.browser(auth)
    await owner.log_in("ada")
    await owner.get("/hub/logout")
    neighbour = await house.browser(auth)
    for number in range(10):
        await neighbour.log_in(f"user{number}", "guess")
    assert TOO_MANY in (await neighbour.log_in("bob")).text
    assert (await owner.log_in("ada")).status == 302


async def test_a_known_browser_is_slowed_down_by_its_own_guesses_and_known_for_no_other_name(house: House):
    auth = await house.auth()
    mallory = await house.browser(auth, address="192.0.2.9")
    await mallory.log_in("mallory")
    await mallory.get("/hub/logout")
    for _ in range(10):
        assert WRONG in (await mallory.log_in("mallory", "guess")).text
    assert TOO_MANY in (await mallory.log_in("mallory")).text
    await guess(house, [auth], "ada")
    assert TOO_MANY in (await mallory.log_in("ada")).text


@pytest.mark.parametrize("value", ["", "x", "2|1:0|10:1|13:hubbub-device|4:eHh4|00", "é", "A" * 5000])
async def test_a_made_up_cookie_makes_nobody_known(house: House, value: str):
    auth = await house.auth()
    await guess(house, [auth], "ada")
    browser = await house.browser(auth, address="192.0.2.1")
    form = await browser.get("/hub/login")
    cookies = {"Cookie": f"{device.COOKIE}={value}; _xsrf={browser.cookies['_xsrf']}"}
    fields = {"username": "ada", "password": PASSWORD, "_xsrf": form.xsrf}
    answer = await browser.post("/hub/login", fields, headers=cookies)
    assert (answer.status, TOO_MANY in answer.text) == (403, True)


def test_a_browser_is_known_for_the_names_of_late_and_by_their_marks_alone():
    value = ""
    for number in range(device.MOST_NAMES + 1):
        value = device.remembered(COOKIE_SECRET, value, f"user{number}")
    assert not device.known(COOKIE_SECRET, value, "user0")
    known = {device.known(COOKIE_SECRET, value, f"user{number}") for number in range(1, device.MOST_NAMES + 1)}
    assert len(known) == 1
    assert known != {""}
    assert "user1" not in value
    other = device.remembered(COOKIE_SECRET, "", "user1")
    assert device.known(COOKIE_SECRET, other, "user1") not in known
    assert not device.known(b"another secret", value, "user1")


async def test_spellings_of_one_account_are_one(house: House):
    auth = await house.auth(MOODY)
    for number in range(10):
        browser = await house.browser(auth, address=f"198.51.100.{number}")
        assert WRONG in (await browser.log_in(f"Ada@example{number}.org", "guess")).text
    assert TOO_MANY in (await (await house.browser(auth, address="192.0.2.1")).log_in("ada")).text


async def test_each_failure_says_why(house: House):
    auth = await house.auth(MOODY)
    for name, password in (
        ("ada", "no"),
        ("eve", PASSWORD),
        ("ada", "503"),
        ("ada", "429"),
        ("ada", "401"),
        ("ada", "403"),
    ):
        await (await house.browser(auth)).log_in(name, password)
    expected = ["wrong", "blocked", "fault", "busy", "wrong", "not allowed"]
    assert await reasons(house) == expected


async def test_whoever_is_not_allowed_is_told_no_more_than_whoever_is_wrong(house: House):
    browser = await house.browser(
        config=with_({"authenticator_class": Moody}, Authenticator={"allowed_users": {"bob"}})
    )
    allowed, wrong = await browser.log_in("ada"), await browser.log_in("ada", "no")
    assert (allowed.status, WRONG in allowed.text) == (wrong.status, WRONG in wrong.text) == (403, True)
    assert await reasons(house) == ["not allowed", "wrong"]


async def test_a_form_that_has_expired_is_no_guess(house: House, browser: Browser):
    await browser.get("/hub/login")
    for _ in range(12):
        answer = await browser.post("/hub/login", {"username": "ada", "password": "no", "_xsrf": "old"})
        assert EXPIRED in answer.text
    assert await reasons(house) == ["expired form"]
    assert (await browser.log_in("ada")).status == 302


async def test_what_is_refused_adds_no_rows_without_bound_and_puts_no_guess_out_of_them(house: House):
    auth = await house.auth()
    one = await house.browser(auth)
    for number in range(10):
        await one.log_in(f"user{number}", "guess")
    for number in range(KEPT_PER_ADDRESS + 10):
        assert TOO_MANY in (await one.log_in(f"other{number}", "guess")).text
    kept = await reasons(house)
    assert kept == ["wrong"] * 10 + ["throttled"] * 5


async def test_what_was_typed_is_not_kept_and_whose_it_was_is(house: House, browser: Browser):
    await browser.log_in("ada")
    await browser.get("/hub/logout")
    await browser.log_in("ada", "wrong")
    await browser.log_in(HIDDEN, "ada")
    pool = await house.pool()
    rows = [dict(row) for row in await pool.fetch("select * from login_attempts order by at")]
    assert not any(word in json.dumps(rows, default=str) for word in ("ada", HIDDEN, "horse"))
    user = await pool.fetchval("select id from users where name = 'ada'")
    assert [row["user_id"] for row in rows] == [user, ""]
    assert rows[0]["device"]


async def test_failures_are_kept_for_as_long_as_the_operator_says(house: House):
    pool = await house.pool()
    for days in (1, 29, 31):
        await pool.execute(
            "insert into login_attempts (name, address, at) values ($1, $1, now() - make_interval(days => $2))",
            f"old{days}",
            days,
        )
    await Throttle(pool, key=b"k", kept=30 * 86_400).failed("x", "192.0.2.1")
    rows = await pool.fetch("select name from login_attempts where name like 'old%' order by at")
    assert [row["name"] for row in rows] == ["old29", "old1"]
    await Throttle(pool, key=b"k", kept=0).failed("x", "192.0.2.1")
    assert await pool.fetchval("select count(*) from login_attempts") == 2


async def test_a_burst_at_one_name_from_everywhere_is_counted_as_it_goes(house: House):
    auth = await house.auth()
    guessers = [await house.browser(auth, address=f"198.51.100.{place}") for place in range(40)]
    forms = await asyncio.gather(*(each.get("/hub/login") for each in guessers))
    answers = await asyncio.gather(
        *(
            each.post("/hub/login", {"username": "ada", "password": "guess", "_xsrf": form.xsrf})
            for each, form in zip(guessers, forms, strict=True)
        )
    )
    assert sum(WRONG in answer.text for answer in answers) <= 14
