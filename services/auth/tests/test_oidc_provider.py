"""A provider that says odd things, fails, or is away."""

import asyncio

import pytest
from openid_round import CALLBACK, LOGIN, at_provider, begin, in_progress, log_in, of_double

from hubbub.testing.eventually import eventually
from hubbub_auth.authenticators.oidc import provider
from hubbub_auth.testing import House

BELIEVED = "cannot be believed"


@pytest.fixture
async def browser(house: House, double):
    return await house.browser(config=of_double(double))


async def nobody(house: House) -> bool:
    return not await (await house.pool()).fetch("select 1 from users union all select 1 from sessions")


async def test_userinfo_of_somebody_else_is_refused(house: House, double, browser):
    double.not_in_id_token = {"preferred_username"}
    double.userinfo_twist = {"sub": "s-eve"}
    answer = await log_in(browser)
    assert (answer.status, BELIEVED in answer.text, await nobody(house)) == (502, True, True)


async def test_userinfo_does_not_overrule_what_is_signed(house: House, double):
    double.userinfo_twist = {"preferred_username": "root"}
    assert (await log_in(await house.browser(config=of_double(double, userinfo="always")))).status == 302
    assert await (await house.pool()).fetchval("select name from users") == "ada"


@pytest.mark.parametrize(
    ("error", "status"), [("access_denied", 403), ("server_error", 502), ("temporarily_unavailable", 503), ("x", 403)]
)
async def test_an_error_is_shown_as_text(house: House, double, browser, error, status):
    words = '<script>alert("x")</script>' + "y" * 1000
    double.answer_twist = {"code": "-", "error": error, "error_description": words}
    answer = await browser.get(await at_provider(await begin(browser, f"{LOGIN}?next=/x")))
    assert answer.status == status
    assert "did not let you in: &lt;script&gt;" in answer.text
    assert "<script>" not in answer.text and "y" * 400 not in answer.text
    assert 'href="/hub/oidc_login?next=%2Fx"' in answer.text
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert not in_progress(browser)
    assert await nobody(house)


async def test_an_error_without_our_state_says_nothing(browser):
    answer = await browser.get(f"{CALLBACK}?error=access_denied&error_description=Call+0800+EVIL")
    assert (answer.status, "EVIL" in answer.text) == (400, False)


METADATA = {
    "another issuer": {"issuer": "https://evil.example"},
    "the issuer with a slash": lambda double: {"issuer": f"{double.issuer}/"},
    "a plain token endpoint": {"token_endpoint": "http://login.example/token"},
    "a plain userinfo endpoint": {"userinfo_endpoint": "http://login.example/userinfo"},
    "plain keys": {"jwks_uri": "http://login.example/keys"},
    "a script as its page": {"authorization_endpoint": "javascript:alert(1)"},
    "only algorithms with secrets": {"id_token_signing_alg_values_supported": ["HS256", "none"]},
    "not even JSON": {"issuer": None},
}


@pytest.mark.parametrize("twist", METADATA.values(), ids=METADATA)
async def test_a_provider_that_says_odd_things_of_itself_is_not_used(double, browser, twist):
    double.metadata_twist = twist(double) if callable(twist) else twist
    answer = await browser.get(LOGIN)
    assert (answer.status, BELIEVED in answer.text) == (502, True)


async def test_a_provider_that_fails_says_so_and_works_again(double, browser):
    back = await at_provider(await begin(browser))
    double.token_status = 500
    answer = await browser.get(back)
    assert (answer.status, "does not answer at the moment" in answer.text) == (503, True)
    double.token_status = 302
    assert (await log_in(browser)).status == 503
    double.token_status = None
    assert (await log_in(browser)).status == 302


async def test_a_provider_that_is_away_says_so(double, browser):
    await double.server.close()
    answer = await browser.get(LOGIN)
    assert (answer.status, "does not answer at the moment" in answer.text) == (503, True)


async def test_nobody_waits_for_what_another_has_waited_for(double, browser, monkeypatch):
    double.metadata_status = 500
    answers = await asyncio.gather(*(browser.get(LOGIN) for _ in range(10)))
    assert {answer.status for answer in answers} == {503}
    assert double.asked == ["metadata"]
    double.metadata_status = 200
    monkeypatch.setattr(provider, "PAUSE", 0.0)

    async def begins() -> bool:
        return (await browser.get(LOGIN)).status == 302

    await eventually(begins)


async def test_what_is_known_of_a_provider_is_used_on_while_it_is_away(double, browser, monkeypatch):
    monkeypatch.setattr(provider, "GOOD_FOR", 0.0)
    assert (await log_in(browser)).status == 302
    double.metadata_status = 500
    assert (await log_in(browser)).status == 302
    assert double.asked.count("metadata") > 1


async def test_an_answer_without_an_end_is_not_read_to_the_end(double, browser):
    double.metadata_twist = {"padding": "x" * 2_000_000}
    assert (await browser.get(LOGIN)).status == 503


async def test_a_wrong_secret_of_ours_is_not_the_persons_fault(house: House, double):
    answer = await log_in(await house.browser(config=of_double(double, client_secret="old")))
    assert (answer.status, "Ask whoever runs this hub" in answer.text) == (502, True)
