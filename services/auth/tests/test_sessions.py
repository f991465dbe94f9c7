"""Sessions over several auths: opened, used, ended; and the ways out."""

import json

import pytest

from hubbub.web import cookies
from hubbub_auth.authenticators import DummyAuthenticator
from hubbub_auth.testing import PASSWORD, Browser, House, code_for, with_

IDLE = 120.0


async def rows(house: House, query: str, *args: object):
    return await (await house.pool()).fetch(query, *args)


async def age(house: House, seconds: float) -> None:
    """Let every session have been used last so long ago."""
    query = "update activity set at = now() - make_interval(secs => $1) where subject like 'session:%'"
    await (await house.pool()).execute(query, seconds)


async def last_used(house: House) -> float:
    """Seconds ago."""
    [row] = await rows(
        house, "select extract(epoch from now() - at)::float as age from activity where subject like 'session:%'"
    )
    return float(row["age"])


async def test_a_session_of_one_auth_is_one_of_every_auth(house: House):
    browser, other = await house.browser(), await house.auth()
    await browser.log_in("ada")
    elsewhere = await house.browser(other)
    cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    assert (await elsewhere.get("/hub/login", headers=cookie)).status == 302
    assert (await elsewhere.get("/hub/logout", headers=cookie)).status == 302
    assert (await browser.get("/hub/login")).status == 200


async def test_cookies_that_somebody_else_has_planted_are_worth_nothing_after_the_login(house: House):
    """Neither a session's id nor a whole login of the attacker's is taken over."""
    auth = await house.auth()
    attacker, victim = await house.browser(auth), await house.browser(auth, address="198.51.100.1")
    await attacker.log_in("mallory")
    names = (cookies.LOGIN, cookies.SESSION_ID, "_xsrf")
    planted = "; ".join(f"{name}={attacker.cookies[name]}" for name in names)
    form = await victim.get("/hub/login", headers={"Cookie": planted})
    assert form.status == 302
    fields = {"username": "ada", "password": PASSWORD, "_xsrf": attacker.cookies["_xsrf"]}
    assert (await victim.post("/hub/login", fields, headers={"Cookie": planted})).status == 302
    assert all(victim.cookies[name] != attacker.cookies[name] for name in names)
    assert (await attacker.get("/hub/login")).status == 200
    [session] = await rows(house, "select u.name from sessions s join users u on u.id = s.user_id")
    assert session["name"] == "ada"


async def test_who_closed_a_session_is_in_the_log_from_where_and_why(house: House, browser: Browser):
    await browser.log_in("ada")
    await browser.send("GET", "/hub/logout", headers={"X-Hubbub-Client": "192.0.2.77"})
    [event] = await rows(house, "select data, meta from events where type = 'SessionClosed'")
    [user] = await rows(house, "select id from users")
    data = json.loads(event["data"])
    assert (data["reason"], data["user"]) == ("logout", user["id"])
    assert json.loads(event["meta"])["actor"] == f"user:{user['id']}"
    assert data["address"].startswith("gAAAA")  # sealed
    assert not await rows(house, "select 1 from activity where subject like 'session:%'")


async def test_a_session_that_another_login_takes_the_place_of_says_so(house: House, browser: Browser):
    await browser.log_in("ada")
    server = await house.start("ada")
    code = await code_for(browser, server)
    assert (await browser.post("/hub/api/oauth2/token", server.exchange(code))).status == 200
    fields = {"username": "ada", "password": PASSWORD, "_xsrf": browser.cookies["_xsrf"]}
    assert (await browser.post("/hub/login", fields)).status == 302
    [event] = await rows(house, "select data from events where type = 'SessionClosed'")
    assert json.loads(event["data"])["reason"] == "another login"
    assert not await rows(house, "select 1 from tokens where session <> ''")


@pytest.mark.parametrize("seconds", [IDLE / 4 + 5, IDLE - 10])
async def test_use_at_an_auth_keeps_a_session(house: House, seconds: float):
    config = {**with_(), "Hubbub": {"session_idle_timeout": IDLE}}
    browser = await house.browser(config=config)
    await browser.log_in("ada")
    assert await last_used(house) < 10
    await age(house, IDLE / 4 - 5)
    assert (await browser.get("/hub/login")).status == 302
    assert await last_used(house) > 20
    await age(house, seconds)
    assert (await browser.get("/hub/login")).status == 302
    assert await last_used(house) < 10


async def test_a_session_that_was_not_used_is_over_at_every_auth(house: House):
    config = {**with_(), "Hubbub": {"session_idle_timeout": IDLE}}
    browser = await house.browser(config=config)
    await browser.log_in("ada")
    server = await house.start("ada")
    await age(house, IDLE + 1)
    assert (await browser.get("/hub/login")).status == 200
    assert "/hub/login?next=" in (await browser.get(server.authorize())).location
    elsewhere = await house.browser(await house.auth(config))
    cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    assert (await elsewhere.get("/hub/login", headers=cookie)).status == 200


# The way out ----------------------------------------------------------------------------


class Elsewhere(DummyAuthenticator):
    """Has people log out elsewhere, too."""

    async def after_logout(self, user, base_url):
        if self.password == "fault":
            raise RuntimeError
        state = await user.get_auth_state()
        return f"https://provider.example/bye?who={user.name}&hint={state and state['hint']}&back={base_url}"

    async def authenticate(self, handler, data):
        return {"name": data["username"], "auth_state": {"hint": "id1"}}


async def test_an_authenticator_may_have_people_log_out_elsewhere_too(house: House):
    more = {"Authenticator": {"enable_auth_state": True, "allow_all": True}}
    browser = await house.browser(config=with_({"authenticator_class": Elsewhere}, **more))
    await browser.log_in("ada")
    answer = await browser.get("/hub/logout")
    assert (answer.status, answer.location) == (302, "https://provider.example/bye?who=ada&hint=id1&back=/hub/")
    assert cookies.LOGIN not in browser.cookies
    assert not await rows(house, "select 1 from sessions")
    assert (await browser.get("/hub/logout")).location == "/hub/login"


async def test_a_fault_there_keeps_nobody_logged_in(house: House):
    more = {"Authenticator": {"allow_all": True}, "Elsewhere": {"password": "fault"}}
    browser = await house.browser(config=with_({"authenticator_class": Elsewhere}, **more))
    await browser.log_in("ada")
    assert (await browser.get("/hub/logout")).location == "/hub/login"
    assert not await rows(house, "select 1 from sessions")


async def test_where_logins_begin_by_themselves_a_log_out_does_not_end_in_one(house: House, browser: Browser):
    await browser.log_in("ada")
    auto = await house.browser(await house.auth(with_(Authenticator={"auto_login": True})))
    cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    answer = await auto.get("/hub/logout", headers=cookie)
    assert (answer.status, "You have logged out" in answer.text) == (200, True)
    gone = answer.headers.getall("Set-Cookie")
    assert {each.partition("=")[0] for each in gone if "Max-Age=0" in each} >= {
        cookies.LOGIN,
        cookies.SESSION_ID,
        "_xsrf",
    }
    assert not await rows(house, "select 1 from sessions")
    assert (await auto.get("/hub/logout")).status == 200
