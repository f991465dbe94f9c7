"""Hostile requests to the pages of an authenticator that is derived from JupyterHub's, which tornado serves."""

import asyncio
import time
from urllib.parse import quote

import pytest
from jupyterhub.auth import DummyAuthenticator

from hubbub.testing.redirects import HOSTILE, lands_on
from hubbub_auth.testing import FORWARD_KEY, PASSWORD, Browser, House, with_


class Classic(DummyAuthenticator):
    """Theirs, to the letter."""


@pytest.fixture
async def browser(house: House) -> Browser:
    return await house.browser(
        config=with_({"authenticator_class": Classic}, Classic={"allow_all": True}, DummyAuthenticator={})
    )


async def test_no_next_leads_elsewhere(browser: Browser):
    for place in HOSTILE:
        where = f"/hub/login?next={quote(place, safe='', errors='surrogatepass')}"
        if await _is_refused(browser, where, place):
            continue
        answer = await browser.log_in("ada", path=where)
        assert answer.status == 302, (place, answer.text)
        assert lands_on(answer.location, browser.host) == browser.host, (place, answer.location)
        assert answer.location.isprintable()
        again = await browser.get(where)  # logged in already
        assert lands_on(again.location, browser.host) == browser.host, (place, again.location)
        await browser.get("/hub/logout")


async def _is_refused(browser: Browser, where: str, place: str) -> bool:
    status = (await browser.get(where)).status
    assert status == 200 or (status == 400 and not place.isprintable()), (status, place)
    return status == 400


@pytest.mark.parametrize("name", ["jupyterhub-hub-login", "jupyterhub-session-id", "_xsrf"])
async def test_a_cookie_that_is_no_text_locks_nobody_out(browser: Browser, name: str):
    host, _, port = browser.host.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = ["GET /hub/login HTTP/1.1", "Host: x", "Connection: close", f"X-Hubbub-Forward: {FORWARD_KEY}"]
    writer.write("\r\n".join(lines).encode() + b"\r\nCookie: " + name.encode() + b"=\xff\xfe\xed\xa0\x80\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_a_charset_keeps_nobody_busy(house: House, browser: Browser):
    form = await browser.get("/hub/login")
    body = f"username=ada&password={quote(PASSWORD)}&_xsrf={form.xsrf}&x=abc-{'za' * 30_000}".encode()
    began = time.monotonic()
    kind = {"Content-Type": "application/x-www-form-urlencoded; charset=punycode"}
    assert (await browser.post("/hub/login", body, headers=kind)).status in (302, 400, 403, 413)
    assert time.monotonic() - began < 5


async def test_nobody_is_made_who_looks_like_somebody_else(house: House, browser: Browser):
    assert (await browser.log_in("ada")).status == 302
    await browser.get("/hub/logout")
    for name, expected in (("\u0430da", 403), ("a\u202eda", 500), ("a" * 300, 500), ("..", 500)):
        answer = await browser.log_in(name)
        assert answer.status in (403, expected), (name, answer.status)
    people = await (await house.pool()).fetch("select name from users")
    assert [row["name"] for row in people] == ["ada"]
