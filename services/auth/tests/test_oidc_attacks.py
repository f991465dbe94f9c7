"""What may come back from a login elsewhere, and does not count."""

import asyncio
import time
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from openid_double import OpenIDDouble
from openid_round import CALLBACK, LOGIN, at_provider, begin, in_progress, log_in, of_double

from hubbub_auth.authenticators.oidc import pages
from hubbub_auth.testing import House

BELIEVED = "cannot be believed"


@pytest.fixture
async def browser(house: House, double):
    return await house.browser(config=of_double(double))


async def nobody(house: House) -> bool:
    return not await (await house.pool()).fetch("select 1 from users union all select 1 from sessions")


def with_query(url: str, **changed: str) -> str:
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()} | changed
    return f"{urlsplit(url).path}?{urlencode({name: value for name, value in query.items() if value != '-'})}"


async def test_an_honest_answer_is_believed(house: House, browser):
    assert (await log_in(browser)).status == 302
    assert not await nobody(house)


# State: is it the answer to what this browser asked? ------------------------------------


async def test_a_browser_that_did_not_begin_is_not_logged_in(house: House, double, browser):
    """Login CSRF: an answer to the attacker's login, planted in somebody's browser."""
    back = await at_provider(await begin(browser))
    victim = await house.browser(config=of_double(double), address="198.51.100.1")
    answer = await victim.get(back)
    assert (answer.status, pages.LOST in answer.text) == (400, True)
    await begin(victim)
    assert (await victim.get(back)).status == 400
    assert await nobody(house)
    assert "authorization_code" not in double.asked


@pytest.mark.parametrize("state", ["-", "", "x", "A" * 43, "é", "../..", "a b;c=d", "\x00", "A" * 3000])
async def test_a_made_up_state_is_refused(house: House, browser, state):
    back = await at_provider(await begin(browser))
    answer = await browser.get(with_query(back, state=state))
    assert (answer.status, pages.LOST in answer.text) == (400, True)
    assert await nobody(house)


async def test_a_state_that_only_begins_like_the_right_one_is_refused(house: House, browser):
    back = await at_provider(await begin(browser))
    state = parse_qs(urlsplit(back).query)["state"][0]
    for wrong in (state[:-1], state + "A", state[:12], state[:12] + state[12:].swapcase()):
        assert (await browser.get(with_query(back, state=wrong))).status == 400
    assert (await browser.get(back)).status == 302


async def test_an_answer_with_two_of_a_kind_is_refused(house: House, browser):
    back = await at_provider(await begin(browser))
    for twice in ("state=x", "code=x"):
        assert (await browser.get(f"{back}&{twice}")).status in (400, 403)
    assert await nobody(house)


@pytest.mark.parametrize("forged", ["", "x", "gAAAAA" + "A" * 300, "a.b.c"])
async def test_a_forged_cookie_is_refused(house: House, browser, forged):
    back = await at_provider(await begin(browser))
    (name,) = in_progress(browser)
    browser.forget(name)
    answer = await browser.get(back, headers={"Cookie": f"{name}={forged}"})
    assert (answer.status, await nobody(house)) == (400, True)


async def test_a_cookie_of_another_login_is_refused(house: House, browser):
    """Two tabs, whose cookies somebody swaps."""
    first, second = [await at_provider(await begin(browser)) for _ in range(2)]
    names = [f"hubbub-login-{parse_qs(urlsplit(url).query)['state'][0][:12]}" for url in (first, second)]
    cookies = browser.cookies
    swapped = f"{names[0]}={cookies[names[1]]}; {names[1]}={cookies[names[0]]}"
    for name in names:
        browser.forget(name)
    for back in (first, second):
        assert (await browser.get(back, headers={"Cookie": swapped})).status == 400
    assert await nobody(house)


async def test_a_login_that_took_too_long_is_refused(house: House, browser, monkeypatch):
    back = await at_provider(await begin(browser))
    kept = {"Cookie": "; ".join(f"{name}={browser.cookies[name]}" for name in in_progress(browser))}
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 601)
    answer = await browser.get(back, headers=kept)  # by a browser that does not keep to what it was told
    assert (answer.status, await nobody(house)) == (400, True)
    monkeypatch.setattr(time, "time", lambda: now + 300)
    assert (await browser.get(back, headers=kept)).status == 302


async def test_an_answer_is_taken_once(house: House, double, browser):
    back = await at_provider(await begin(browser))
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    assert (await browser.get(back)).status == 302
    assert (await browser.get(back)).status == 400
    again = await house.browser(config=of_double(double))
    answer = await again.get(back, headers={"Cookie": cookie})  # by somebody who has read all of it
    assert (answer.status, "does not know of it any more" in answer.text) == (403, True)
    assert len(await (await house.pool()).fetch("select 1 from sessions")) == 1


async def test_tabs_do_not_get_in_each_others_way(browser):
    backs = [await at_provider(await begin(browser, f"{LOGIN}?next=/hub/{n}")) for n in range(3)]
    assert len(in_progress(browser)) == 3
    for number in (1, 0, 2):
        assert (await browser.get(backs[number])).location == f"/hub/{number}"
    assert not in_progress(browser)


async def test_there_are_only_so_many_cookies(browser):
    for number in range(30):
        back = await at_provider(await begin(browser, f"{LOGIN}?next=/{'x' * 900}{number}"))
        assert sum(len(name) + len(browser.cookies[name]) for name in in_progress(browser)) < 8000
    assert 1 < len(in_progress(browser)) < 8
    assert (await browser.get(back)).status == 302


async def test_a_next_that_fits_into_no_cookie_is_forgotten(browser):
    answer = await log_in(browser, f"{LOGIN}?next=/{'x' * 3500}")
    assert (answer.status, answer.location) == (302, "/hub/")


@pytest.mark.parametrize("wanted", ["//evil.example", "https://evil.example/", "/\\evil.example", "/%09/evil.example"])
async def test_a_foreign_next_is_ignored(browser, wanted):
    answer = await log_in(browser, f"{LOGIN}?{urlencode({'next': wanted})}")
    assert not answer.location.startswith(("//", "http", "/\\"))
    assert "evil" not in urlsplit(answer.location).netloc


# Codes: of somebody else's login --------------------------------------------------------


async def test_a_code_of_another_login_is_refused(house: House, double, browser):
    """Code injection: the code is good, but was given out to another browser, for another challenge."""
    attacker = await house.browser(config=of_double(double), address="198.51.100.1")
    stolen = parse_qs(urlsplit(await at_provider(await begin(attacker))).query)["code"][0]
    answer = await browser.get(with_query(await at_provider(await begin(browser)), code=stolen))
    assert (answer.status, "does not know of it any more" in answer.text) == (403, True)
    assert await nobody(house)


async def test_without_a_provider_that_checks_challenges_the_nonce_does(house: House, double, browser, monkeypatch):
    monkeypatch.setattr(double, "_is_redeemable", lambda found, fields: bool(found))
    attacker = await house.browser(config=of_double(double), address="198.51.100.1")
    stolen = parse_qs(urlsplit(await at_provider(await begin(attacker))).query)["code"][0]
    answer = await browser.get(with_query(await at_provider(await begin(browser)), code=stolen))
    assert (answer.status, BELIEVED in answer.text, await nobody(house)) == (502, True, True)


async def test_a_form_cannot_say_what_an_answer_says(house: House, double, browser):
    """All that an answer and its cookie hold, as fields: the nonce and the verifier would be anybody's choice."""
    back = await at_provider(await begin(browser))
    code = parse_qs(urlsplit(back).query)["code"][0]
    fields = {"username": "ada", "code": code, "came_back": code, "code_verifier": "x" * 43, "nonce": "x"}
    fields["redirect_uri"] = f"http://{browser.host}{CALLBACK}"
    page = await browser.get("/hub/login")
    answer = await browser.post("/hub/login", fields | {"_xsrf": browser.cookies["_xsrf"]})
    assert (page.status, answer.status, await nobody(house)) == (200, 403, True)
    asked = await browser.send("POST", "/hub/internal/credentials", json={"auth": fields})
    assert (asked.status, await nobody(house)) == (403, True)
    assert "authorization_code" not in double.asked
    assert (await browser.get(back)).status == 302


@pytest.mark.parametrize("issuer", ["https://evil.example", "", "-"])
async def test_an_answer_of_another_issuer_is_refused(house: House, double, browser, issuer):
    """RFC 9207, against mix-up: the code is never sent anywhere."""
    answer = await browser.get(with_query(await at_provider(await begin(browser)), iss=issuer))
    assert (answer.status, BELIEVED in answer.text, await nobody(house)) == (502, True, True)
    assert "authorization_code" not in double.asked


async def test_a_provider_that_names_no_issuer_in_its_answers_is_as_good(double, browser):
    double.tells_issuer = False
    assert (await log_in(browser)).status == 302


async def test_a_login_begun_at_another_provider_does_not_end_here(house: House, double, browser):
    second = OpenIDDouble()
    await second.server.start_server()
    try:
        back = await at_provider(await begin(browser))
        cookies = "; ".join(f"{name}={browser.cookies[name]}" for name in in_progress(browser))
        other = await house.browser(config=of_double(second))
        assert (await other.get(back, headers={"Cookie": cookies})).status == 400
    finally:
        await second.server.close()
    assert await nobody(house)


async def test_two_first_logins_at_once_make_one_user(house: House, double):
    browsers = [await house.browser(config=of_double(double)) for _ in range(4)]
    answers = await asyncio.gather(*(log_in(each) for each in browsers))
    assert [answer.status for answer in answers] == [302] * 4
    assert await (await house.pool()).fetchval("select count(*) from users") == 1
    assert not await house.problems()


async def test_only_get_is_answered(browser):
    for path in (LOGIN, CALLBACK):
        for method in ("POST", "HEAD", "PUT"):
            assert (await browser.send(method, path)).status == 405
