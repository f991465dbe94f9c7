"""Cookies and form tokens that are forged, swapped, stolen, planted or stale (contract, 1.2)."""

import asyncio
import base64
import re
import time
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from urllib.parse import urlencode

import pytest
from aiohttp import ClientSession, DummyCookieJar
from tornado.web import create_signed_value

from hubbub_auth.login import EXPIRED
from hubbub_auth.testing import COOKIE_SECRET, FORWARD_KEY, PASSWORD, Browser, House, RunningServer, query

LOGIN, SESSION, XSRF = "jupyterhub-hub-login", "jupyterhub-session-id", "_xsrf"
MONTH = 32 * 86_400


async def rows(house, statement, *args):
    return await (await house.pool()).fetch(statement, *args)


def unquoted(value):
    return SimpleCookie(f"x={value}")["x"].value


def login_cookie(value):
    return {"Cookie": f'{LOGIN}="{value}"'}


def signed(value, *, name=LOGIN, key=COOKIE_SECRET, ago=0.0, version=2):
    return create_signed_value(key, name, value, version=version, clock=lambda: time.time() - ago).decode()


async def is_logged_in(browser: Browser, headers) -> bool:
    """As whoever the login cookie in *headers* says; the page says no, if it does, without a fault."""
    answer = await browser.get("/hub/login", headers=headers)
    assert answer.status in (200, 302), answer.text
    return answer.status == 302


@pytest.fixture
async def sender(house: House) -> AsyncIterator[Browser]:
    """Sends the cookies that it is told to, keeps none, and comes from where *browser* does."""
    async with ClientSession(cookie_jar=DummyCookieJar()) as session:
        yield Browser(session, await house.auth(), "203.0.113.7")


async def test_a_forged_login_cookie_is_nobodys(house: House, browser: Browser, sender: Browser):
    await browser.log_in("ada")
    good = unquoted(browser.cookies[LOGIN])
    secret = await _secret_in(good)
    assert await is_logged_in(sender, login_cookie(good))
    assert await is_logged_in(sender, login_cookie(signed(secret)))
    parts = good.split("|")
    forged = {
        "nothing": "",
        "the secret alone": secret,
        "another key": signed(secret, key=b"another key, as long as it has to be"),
        "an old key": signed(secret, key=bytes(32)),
        "the session id's signature": signed(secret, name=SESSION),
        "the form token's signature": signed(secret, name=XSRF),
        "tornado's first version": signed(secret, version=1),
        "a month ago": signed(secret, ago=MONTH),
        "another secret": signed(secret[::-1]),
        "the session's id": signed(browser.cookies[SESSION]),
        "the hash of the secret": signed((await rows(house, "select hash from sessions"))[0]["hash"]),
        "nothing, signed": signed(""),
        "zero bytes, signed": signed("\0" * 43),
        "no signature": "|".join([*parts[:-1], ""]),
        "a field less": "|".join(parts[:-2] + parts[-1:]),
        "version 3": "3" + good[1:],
        "long": good + "a" * 7000,
        "letters": "é" * 100,
        "numbers": "2|" * 1000,
        "long numbers": f"2|1:0|{'9' * 4000}:x",
    }
    for cut in (1, 2, 10, len(good) // 2, len(good) - 1):
        forged[f"without its last {cut}"] = good[:-cut]
        forged[f"without its first {cut}"] = good[cut:]
    for place in range(0, len(good), 7):
        other = "0" if good[place] != "0" else "1"
        forged[f"another letter {place}"] = good[:place] + other + good[place + 1 :]
    for what, value in forged.items():
        assert not await is_logged_in(sender, login_cookie(value)), what


async def _secret_in(good: str) -> str:
    from hubbub.web.cookies import secret_in

    found = secret_in(good, COOKIE_SECRET, 14)
    assert found
    return found


@pytest.mark.parametrize("name", [LOGIN, SESSION, XSRF, "hubbub-device"])
async def test_a_cookie_that_is_no_text_is_nobodys(house: House, browser: Browser, name):
    """Not even a fault: whoever can set it could keep somebody out for ever."""
    form = await browser.get("/hub/login")
    assert form.status == 200
    line = b"Cookie: %s=\xff\xfe\xed\xa0\x80" % name.encode()
    assert await _status(browser, b"GET /hub/login HTTP/1.1", line) == 200
    assert await _status(browser, b"GET /hub/logout HTTP/1.1", line) == 302
    assert await _status(browser, b"POST /hub/login HTTP/1.1", line, b"Content-Length: 0") == 403


async def test_a_browser_that_calls_itself_by_no_text_can_log_in(house: House, browser: Browser):
    agent = b"User-Agent: \x80\xff" + b"x" * 500
    page = (await _answer(browser, b"GET /hub/login HTTP/1.1", agent)).decode()
    found = re.search(r'name="_xsrf" value="([^"]+)"', page)
    assert found, page
    body = urlencode(_fields("ada", found[1])).encode()
    kind = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d" % len(body)
    cookie = f"Cookie: {XSRF}={found[1]}".encode()
    answer = await _answer(browser, b"POST /hub/login HTTP/1.1", agent, kind, cookie, body=body)
    assert answer.startswith(b"HTTP/1.1 302"), answer
    assert len(await rows(house, "select 1 from sessions")) == 1


async def _status(browser: Browser, *lines: bytes) -> int:
    return int((await _answer(browser, *lines)).split(b" ", 2)[1])


async def _answer(browser: Browser, *lines: bytes, body: bytes = b"") -> bytes:
    """To a request that no client would send."""
    host, _, port = browser.host.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    more = [b"Host: x", b"Connection: close", b"X-Hubbub-Forward: " + FORWARD_KEY.encode()]
    writer.write(b"\r\n".join([*lines, *more, b"", body]))
    answer = await reader.read()
    writer.close()
    return answer


async def test_the_login_of_one_browser_and_the_session_of_another(house: House, sender: Browser):
    auth = await house.auth()
    ada, bob = await house.browser(auth), await house.browser(auth, address="198.51.100.1")
    await ada.log_in("ada")
    await bob.log_in("bob")
    mixed = {LOGIN: unquoted(ada.cookies[LOGIN]), SESSION: bob.cookies[SESSION]}
    for token in (ada.cookies[XSRF], bob.cookies[XSRF]):
        headers = {"Cookie": "; ".join(f'{name}="{value}"' for name, value in (mixed | {XSRF: token}).items())}
        answer = await sender.post("/hub/login", _fields("eve", token), headers=headers)
        assert (answer.status, EXPIRED in answer.text) == (403, True)
    headers = {"Cookie": "; ".join(f'{name}="{value}"' for name, value in mixed.items())}
    answer = await sender.get("/hub/login", headers=headers)
    assert f"{SESSION}={ada.cookies[SESSION]}" in "".join(answer.headers.getall("Set-Cookie"))
    await sender.get("/hub/logout", headers=headers)
    left = {row["id"] for row in await rows(house, "select id from sessions")}
    assert left == {bob.cookies[SESSION]}


async def test_a_code_is_of_the_session_of_the_login_cookie(
    house: House, browser: Browser, server: RunningServer, sender: Browser
):
    """Not of the session id that is sent beside it: it would outlive the log-out."""
    other = await house.browser(address="198.51.100.1")
    await other.log_in("bob")
    headers = {"Cookie": f'{LOGIN}="{unquoted(browser.cookies[LOGIN])}"; {SESSION}={other.cookies[SESSION]}'}
    code = query((await sender.get(server.authorize(), headers=headers)).location)["code"]
    assert (await browser.post("/hub/api/oauth2/token", server.exchange(code))).status == 200
    (token,) = await rows(house, "select session from tokens where session <> ''")
    assert token["session"] == browser.cookies[SESSION]


async def test_what_was_planted_before_a_login_is_worth_nothing_after_it(house: House, sender: Browser):
    """Session fixation: somebody leaves their own login in a browser, and waits for its owner to log in."""
    auth = await house.auth()
    mallory = await house.browser(auth, address="198.51.100.1")
    await mallory.log_in("mallory")
    planted = {name: unquoted(mallory.cookies[name]) for name in (LOGIN, SESSION)}
    headers = {"Cookie": "; ".join(f'{name}="{value}"' for name, value in planted.items())}
    page = await sender.post("/hub/login", _fields("victim", ""), headers=headers)
    assert (page.status, EXPIRED in page.text) == (403, True)
    token = SimpleCookie(page.headers["Set-Cookie"])[XSRF].value
    headers["Cookie"] += f'; {XSRF}="{token}"'
    answer = await sender.post("/hub/login", _fields("victim", token), headers=headers)
    assert answer.status == 302
    given = {
        name: morsel.value
        for each in answer.headers.getall("Set-Cookie")
        for name, morsel in SimpleCookie(each).items()
    }
    assert {LOGIN, SESSION, XSRF} <= set(given)
    assert not planted.items() & given.items()
    people = await rows(house, "select u.name from sessions s join users u on u.id = s.user_id")
    assert [row["name"] for row in people] == ["victim"]
    assert not await is_logged_in(mallory, {})


async def test_a_form_that_was_sent_is_not_sent_again_by_another_site(house: House, browser: Browser, sender: Browser):
    """Neither by the browser that has logged in meanwhile, nor by one without the cookie that goes with it."""
    form = await browser.get("/hub/login")
    sent = _fields("ada", form.xsrf)
    assert (await browser.post("/hub/login", sent)).status == 302
    for again in (await browser.post("/hub/login", sent), await sender.post("/hub/login", sent)):
        assert (again.status, EXPIRED in again.text) == (403, True)
    assert len(await rows(house, "select 1 from sessions")) == 1


def _fields(name: str, token: str, password: str = PASSWORD) -> dict[str, str]:
    return {"username": name, "password": password, "_xsrf": token}


async def _stale(house: House, browser: Browser) -> dict[str, str]:
    """Form tokens that were good once or somewhere, and are not in *browser*, where ada is logged in."""
    auth = await house.auth()
    anonymous = await browser.get("/hub/login")
    neighbour = await house.browser(auth, address="198.51.100.1")
    their_page = await neighbour.get("/hub/login")
    await neighbour.log_in("ada")
    await browser.log_in("ada")
    first = browser.cookies
    again = await browser.post("/hub/login", _fields("ada", first[XSRF]))
    assert again.status == 302
    (session,) = await rows(house, "select * from sessions where id = $1", browser.cookies[SESSION])
    bound = f"{session['id']}:{session['hash']}"
    return {
        "none": "",
        "of the page before the login": anonymous.xsrf,
        "of another browser's page": their_page.xsrf,
        "of another session of hers": neighbour.cookies[XSRF],
        "of her session before": first[XSRF],
        "too old": _packed(signed(bound, name=XSRF, ago=MONTH)),
        "of another key": _packed(signed(bound, name=XSRF, key=bytes(32))),
        "of another cookie": _packed(signed(bound, name=LOGIN)),
        "of tornado's first version": _packed(signed(bound, name=XSRF, version=1)),
        "her login": unquoted(browser.cookies[LOGIN]),
        "her session": browser.cookies[SESSION],
        "not packed": signed(bound, name=XSRF),
        "cut off": browser.cookies[XSRF][:-1],
    }


def _packed(value: str) -> str:
    return base64.urlsafe_b64encode(value.encode()).rstrip(b"=").decode()


async def test_stale_tokens_open_no_form(house: House, browser: Browser, sender: Browser):
    """Neither alone nor with the cookie of theirs, which a neighbour on the host can plant."""
    stale = await _stale(house, browser)
    server = await house.start("ada")
    good = browser.cookies
    held = f'{LOGIN}="{unquoted(good[LOGIN])}"; {SESSION}={good[SESSION]}'
    for what, token in stale.items():
        for cookies in (f'{held}; {XSRF}="{good[XSRF]}"', f'{held}; {XSRF}="{token}"', held):
            headers = {"Cookie": cookies}
            answer = await sender.post("/hub/login", _fields("eve", token), headers=headers)
            assert (answer.status, EXPIRED in answer.text) == (403, True), what
            answer = await sender.post(server.authorize(), {"_xsrf": token, "scopes": []}, headers=headers)
            assert answer.status == 403, what
    assert not await rows(house, "select 1 from users where name = 'eve'")
    headers = {"Cookie": f'{held}; {XSRF}="planted"; {XSRF}="{good[XSRF]}"'}
    assert (await sender.post("/hub/login", _fields("eve", good[XSRF]), headers=headers)).status == 302


@pytest.mark.parametrize(
    "elsewhere",
    [{"X-Hubbub-Client": "198.51.100.9"}, {"User-Agent": "another"}, {"Cookie": f"{SESSION}=planted"}],
    ids=["another address", "another browser", "another session id"],
)
async def test_a_strangers_token_is_good_where_it_was_given_alone(house: House, sender: Browser, elsewhere):
    form = await sender.get("/hub/login")
    own = {"Cookie": f'{XSRF}="{form.xsrf}"'}
    if "Cookie" in elsewhere:
        elsewhere = {"Cookie": f"{own['Cookie']}; {elsewhere['Cookie']}"}
    refused = await sender.post("/hub/login", _fields("ada", form.xsrf), headers=own | elsewhere)
    assert (refused.status, EXPIRED in refused.text) == (403, True)
    assert (await sender.post("/hub/login", _fields("ada", form.xsrf), headers=own)).status == 302
