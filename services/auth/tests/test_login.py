"""Logging in and out, as a browser sees it."""

import asyncio
import json

import pytest

from hubbub_auth.attempt import TOO_MANY, WRONG
from hubbub_auth.login import EXPIRED
from hubbub_auth.testing import PASSWORD, Browser, House, with_


async def rows(house, query, *args):
    return await (await house.pool()).fetch(query, *args)


async def test_a_login_makes_the_user_a_session_and_cookies(house: House, browser: Browser):
    answer = await browser.log_in("Ada", path="/hub/login?next=%2Fuser%2Fada%2Flab%3Fx%3D1")
    assert (answer.status, answer.location) == (302, "/user/ada/lab?x=1")
    cookies = "\n".join(answer.headers.getall("Set-Cookie"))
    assert "jupyterhub-session-id=" in cookies
    assert 'jupyterhub-hub-login="2|1:0|' in cookies.replace("\\", "")
    assert cookies.count("HttpOnly") == 3
    assert cookies.count("_xsrf=") == 1
    (user,) = await rows(house, "select * from users")
    (session,) = await rows(house, "select * from sessions")
    assert (user["name"], user["admin"]) == ("ada", False)
    assert (session["user_id"], session["id"]) == (user["id"], browser.cookies["jupyterhub-session-id"])


async def test_every_answer_carries_the_headers_of_the_house(browser: Browser):
    for answer in (
        await browser.get("/hub/login"),
        await browser.get("/hub/nothing"),
        await browser.get("/hub/logout"),
    ):
        assert answer.headers["X-JupyterHub-Version"] == "6.1.1"
        assert answer.headers["Content-Security-Policy"].startswith("frame-ancestors 'none'; report-uri /hub/security")


async def test_only_an_api_is_listened_to(browser: Browser):
    for given in ("", "x", "ü"):
        assert (await browser.get("/hub/login", headers={"X-Hubbub-Forward": given})).status == 403


async def test_whoever_is_logged_in_goes_on_and_gets_a_lost_session_id_again(browser: Browser):
    await browser.log_in("ada")
    session = browser.cookies["jupyterhub-session-id"]
    browser.forget("jupyterhub-session-id")
    answer = await browser.get("/hub/login?next=/hub/home")
    assert (answer.status, answer.location) == (302, "/hub/home")
    assert browser.cookies["jupyterhub-session-id"] == session


async def test_a_wrong_password_is_the_form_again(house: House, browser: Browser):
    answer = await browser.log_in("ada", "wrong")
    assert answer.status == 403
    assert WRONG in answer.text
    assert 'value="ada"' in answer.text
    assert (
        await browser.post("/hub/login", {"username": "ada", "password": PASSWORD, "_xsrf": answer.xsrf})
    ).status == 302


@pytest.mark.parametrize("token", ["", "nonsense", "é", "A" * 3000])
async def test_a_login_without_the_forms_token_is_refused(house: House, browser: Browser, token):
    await browser.get("/hub/login")
    answer = await browser.post("/hub/login", {"username": "ada", "password": PASSWORD, "_xsrf": token})
    assert answer.status == 403
    assert EXPIRED in answer.text
    assert not await rows(house, "select 1 from users")


async def test_a_token_without_its_cookie_is_refused(house: House, browser: Browser):
    form = await browser.get("/hub/login")
    other = await house.browser(address="198.51.100.1")
    answer = await other.post("/hub/login", {"username": "ada", "password": PASSWORD, "_xsrf": form.xsrf})
    assert (answer.status, EXPIRED in answer.text) == (403, True)


@pytest.mark.parametrize("wanted", ["//evil.example", "https://evil.example/", "/%09/evil.example", "home"])
async def test_a_foreign_next_is_ignored(browser: Browser, wanted):
    answer = await browser.log_in("ada", path=f"/hub/login?next={wanted}")
    assert (answer.status, answer.location) == (302, "/hub/")


async def test_an_absolute_next_of_the_browsers_own_address_is_kept(browser: Browser):
    https = {"X-Forwarded-Proto": "https, http"}
    path = f"/hub/login?next=https://{browser.host}/user/ada/"
    form = await browser.get(path, headers=https)
    assert "Secure" in form.headers["Set-Cookie"]
    cookie = {"Cookie": f"_xsrf={form.xsrf}"}  # which the test's own client, that has no TLS, keeps to itself
    fields = {"username": "ada", "password": PASSWORD, "_xsrf": form.xsrf}
    answer = await browser.post(path, fields, headers=https | cookie)
    assert answer.location == "/user/ada/"
    assert all("Secure" in cookie for cookie in answer.headers.getall("Set-Cookie"))


@pytest.mark.parametrize("name", ["", " ", "a/b", "..", "%2e%2e", "a\nb", "x" * 256, "\x00"])
async def test_a_name_that_cannot_be_one_does_not_log_in(house: House, browser: Browser, name):
    answer = await browser.log_in(name)
    assert (answer.status, WRONG in answer.text) == (403, True)
    assert not await rows(house, "select 1 from users")


async def test_what_is_no_form_is_refused_without_a_fault(browser: Browser):
    await browser.get("/hub/login")
    assert (await browser.post("/hub/login", b"\xff=\xfe")).status in (400, 403)
    assert (await browser.post("/hub/login", b"x", headers={"Content-Type": "multipart/form-data"})).status in (
        400,
        403,
    )
    wrong = {"Content-Type": "application/x-www-form-urlencoded; charset=none"}
    assert (await browser.post("/hub/login", b"a=b", headers=wrong)).status in (400, 403)
    assert (await browser.post("/hub/login", {"username": "x" * 100_000})).status == 413
    assert (await browser.send("PUT", "/hub/login")).status == 405


async def test_each_login_has_a_session_of_its_own_and_ends_the_one_before(house: House, browser: Browser):
    await browser.log_in("ada")
    first = browser.cookies
    fields = {"username": "bob", "password": PASSWORD, "_xsrf": first["_xsrf"]}
    assert (await browser.post("/hub/login", fields)).status == 302
    second = browser.cookies
    for name in ("jupyterhub-session-id", "jupyterhub-hub-login", "_xsrf"):
        assert first[name] != second[name]
    assert [second["jupyterhub-session-id"]] == [row["id"] for row in await rows(house, "select id from sessions")]


async def test_a_session_id_that_was_planted_is_not_taken_over(house: House, browser: Browser):
    planted = {"Cookie": "jupyterhub-session-id=planted"}
    form = await browser.get("/hub/login", headers=planted)
    token = form.headers["Set-Cookie"].partition(";")[0]
    fields = {"username": "ada", "password": PASSWORD, "_xsrf": form.xsrf}
    answer = await browser.post("/hub/login", fields, headers={"Cookie": f"jupyterhub-session-id=planted; {token}"})
    assert answer.status == 302
    assert browser.cookies["jupyterhub-session-id"] != "planted"


async def test_an_administrator_is_made_one_when_logging_in(house: House, browser: Browser):
    await browser.log_in("root")
    (user,) = await rows(house, "select admin from users where name = 'root'")
    assert user["admin"] is True


async def test_logging_out_ends_the_session_and_every_token_of_it(house: House, browser: Browser):
    await browser.log_in("ada")
    server = await house.start("ada")
    for _ in range(2):
        code = (await browser.get(server.authorize())).location.partition("code=")[2].partition("&")[0]
        assert (await browser.post("/hub/api/oauth2/token", server.exchange(code))).status == 200
    answer = await browser.get("/hub/logout")
    assert (answer.status, answer.location) == (302, "/hub/login")
    assert not {"jupyterhub-session-id", "jupyterhub-hub-login", "_xsrf"} & set(browser.cookies)
    assert not await rows(house, "select 1 from sessions")
    assert [server.id] == [row["server"] for row in await rows(house, "select server from tokens")]
    revoked = await rows(house, "select meta from events where type in ('TokenRevoked', 'SessionClosed')")
    assert len(revoked) == 3
    assert len({json.loads(row["meta"])["command"] for row in revoked}) == 1


async def test_logging_out_leaves_other_browsers_alone(house: House, browser: Browser):
    other = await house.browser(address="198.51.100.1")
    await browser.log_in("ada")
    await other.log_in("ada")
    await browser.get("/hub/logout")
    assert (await other.get("/hub/login")).status == 302


async def test_a_cookie_of_a_session_that_ended_is_worth_nothing(house: House, browser: Browser):
    await browser.log_in("ada")
    cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    assert (await browser.get("/hub/login", headers=cookie)).status == 302
    await browser.get("/hub/logout")
    assert (await browser.get("/hub/login", headers=cookie)).status == 200
    assert (await browser.get("/hub/logout")).status == 302


async def test_guessing_is_slowed_down_by_name_and_by_address(house: House):
    auth = await house.auth()
    for place in range(10):
        guesser = await house.browser(auth, address=f"198.51.100.{place}")
        assert WRONG in (await guesser.log_in("ada", "guess")).text
    away = await house.browser(auth, address="192.0.2.1")
    answer = await away.log_in("ada")
    assert (answer.status, TOO_MANY in answer.text, "Retry-After" in answer.headers) == (403, True, True)
    assert (await away.log_in("bob")).status == 302
    one = await house.browser(auth, address="2001:db8::1")
    for number in range(10):
        assert WRONG in (await one.log_in(f"user{number}", "guess")).text
    neighbour = await house.browser(auth, address="2001:db8::2")
    assert TOO_MANY in (await neighbour.log_in("eve")).text


async def test_a_burst_of_guesses_is_counted_as_it_goes(house: House):
    guesser = await house.browser()
    form = await guesser.get("/hub/login")
    fields = {"username": "ada", "password": "guess", "_xsrf": form.xsrf}
    answers = await asyncio.gather(*(guesser.post("/hub/login", fields) for _ in range(40)))
    assert sum(WRONG in answer.text for answer in answers) <= 14


async def test_failures_are_kept_in_bounds(house: House, browser: Browser):
    pool = await house.pool()
    many = "select 'n' || g, '203.0.113.7', now() - interval '1 hour' from generate_series(1, 500) g"
    await pool.execute(f"insert into login_attempts {many}")
    await pool.execute("insert into login_attempts values ('old', '192.0.2.9', now() - interval '2 days')")
    await browser.log_in("ada", "wrong")
    assert await pool.fetchval("select count(*) from login_attempts") <= 101


async def test_two_first_logins_of_one_name_make_one_user(house: House):
    browsers = [await house.browser(await house.auth()) for _ in range(2)]
    for number in range(5):
        answers = await asyncio.gather(*(each.log_in(f"user{number}") for each in browsers))
        assert [answer.status for answer in answers] == [302, 302]
        await asyncio.gather(*(each.get("/hub/logout") for each in browsers))
    assert len(await rows(house, "select 1 from users")) == 5
    assert len(await rows(house, "select 1 from events where type = 'UserCreated'")) == 5


async def test_no_secret_gets_into_the_log_of_events(house: House, browser: Browser):
    await browser.log_in("ada")
    text = "".join(row["data"] + row["meta"] for row in await rows(house, "select data, meta from events"))
    for secret in (*browser.cookies.values(), PASSWORD, "ada"):
        if secret != browser.cookies["jupyterhub-session-id"]:
            assert secret not in text


async def test_a_hub_below_a_base_url(house: House):
    browser = await house.browser(config=with_({"bind_url": "http://:8000/b/", "redirect_to_server": False}))
    answer = await browser.log_in("ada", path="/b/hub/login?x=1")
    assert answer.location == "/b/hub/home?x=1"
    assert any("Path=/b/hub/" in cookie for cookie in answer.headers.getall("Set-Cookie"))
