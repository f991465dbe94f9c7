"""A classic authenticator behind the gateway: its own pages, templates and cookies, and what they can do to us."""

import asyncio
import os
import stat
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from aiohttp import ClientSession, UnixConnector
from classic_author import ELSEWHERE, Blocks, Templated, Travelled

from hubbub_auth.app import about
from hubbub_auth.classic.gateway import BUSY
from hubbub_auth.testing import CONFIG as DUMMY
from hubbub_auth.testing import House, query

OPEN = {"allow_all": True, "admin_users": {"root"}}
NOTHING_INSIDE = "default-src"


def config(kind, hub=None, **sections):
    return {"JupyterHub": {"authenticator_class": kind, **(hub or {})}, "Authenticator": OPEN, **sections}


@pytest.fixture
async def browser(house: House):
    return await house.browser(config=config(Travelled))


async def travel(browser, next="", id="1"):
    """To the login elsewhere, and back."""
    await browser.get(f"/hub/begin?id={id}&next={next}")
    return await browser.get(f"/hub/back?id={id}")


async def test_a_login_elsewhere(house: House):
    """Begun at one auth, ended at another: all that is remembered is in a signed cookie."""
    one, other = [await house.auth(config(Travelled)) for _ in range(2)]
    browser = await house.browser(one)
    page = await browser.get("/hub/login?next=%2Fhub%2Ftoken")
    assert "Sign in with Elsewhere" in page.text
    assert "/hub/begin?next=%2Fhub%2Ftoken" in page.text
    gone = await browser.get("/hub/begin?id=1", headers={"X-Forwarded-Proto": "https, http"})
    assert gone.location == f"{ELSEWHERE}?back=https://{browser.host}/hub/back"
    assert ["Secure" in each for each in gone.headers.getall("Set-Cookie")] == [True, True]
    await browser.get("/hub/begin?id=1")
    back = await browser.at(other).get("/hub/back?id=1")
    assert (back.status, back.location) == (302, "/hub/?id=1")
    row = await (await house.pool()).fetchrow("select name, admin from users")
    assert tuple(row) == ("ada", False)
    state = await (await house.pool()).fetchval("select count(*) from vault where key like 'auth_state:%'")
    assert state == 0  # nobody has asked for it to be kept


async def test_it_comes_back_once_and_to_the_same_browser(browser):
    await browser.get("/hub/begin?id=1")
    mixed_up = await browser.get("/hub/back?id=2")
    assert (mixed_up.status, "State mismatch" in mixed_up.text) == (400, True)
    assert "jupyterhub-hub-login" not in browser.cookies
    assert (await browser.get("/hub/back?id=1")).status == 400  # the cookie is gone


async def test_a_refusal_is_a_page_of_jupyterhubs_with_our_headers(house: House):
    browser = await house.browser(config=config(Travelled, Authenticator={"allowed_users": {"bob"}}))
    refused = await travel(browser)
    assert (refused.status, "403 : Not you" in refused.text) == (403, True)
    assert refused.headers["X-Content-Type-Options"] == "nosniff"
    assert refused.headers["X-JupyterHub-Version"] == "6.1.1"
    assert NOTHING_INSIDE not in refused.headers["Content-Security-Policy"]  # its pages have scripts within
    assert await (await house.pool()).fetchval("select count(*) from users") == 0
    assert await (await house.pool()).fetchval("select why from login_attempts") == "not allowed"


HOSTILE = ["//evil.example", "https://evil.example/", "/\\evil.example", "\t//evil.example", "javascript:alert(1)"]


@pytest.mark.parametrize("next", HOSTILE)
async def test_nobody_is_sent_elsewhere_after_a_login(house: House, next):
    browser = await house.browser(config=config(Travelled))
    await browser.get("/hub/begin?id=1")
    answer = await browser.send("GET", f"/hub/back?id=1&next={next}".replace("\t", "%09").replace("\\", "%5C"))
    assert (answer.status, urlsplit(urljoin("http://hub/hub/", answer.location)).netloc) == (302, "hub")


async def test_a_page_of_its_own_with_a_template_and_a_form(house: House):
    browser = await house.browser(config=config(Templated))
    stranger = await browser.get("/hub/own/a%20b")
    assert (stranger.status, stranger.location) == (302, "/hub/login?next=%2Fhub%2Fown%2Fa%2520b")
    await travel(browser)
    page = await browser.get("/hub/own/a%20b%3Ci%3E")
    assert (page.status, "a b&lt;i&gt; of ada" in page.text) == (200, True)
    assert (await browser.post("/hub/own/x", {})).status == 403
    assert (await browser.post("/hub/own/x", {"_xsrf": "nonsense"})).status == 403
    changed = await browser.post("/hub/own/x", {"_xsrf": page.xsrf})
    assert (changed.status, changed.text) == (200, "changed by ada: x")
    await browser.get("/hub/logout")
    await travel(browser)
    assert (await browser.post("/hub/own/x", {"_xsrf": page.xsrf})).status == 403  # of another login


async def test_its_tokens_are_good_on_our_pages_and_the_other_way_round(house: House):
    browser = await house.browser(config=config(Templated))
    await travel(browser)
    server = await house.start("ada")
    page = await browser.get("/hub/own/x")
    for token, status in (("nonsense", 403), (page.xsrf, 302)):
        consent = await browser.post(server.authorize(), {"_xsrf": token, "scopes": "identify"})
        assert consent.status == status
    browser.forget("_xsrf")
    assert (await browser.get("/hub/api/oauth2/authorize?client_id=nobody")).status == 400  # an error page of ours
    assert (await browser.post("/hub/own/x", {"_xsrf": browser.cookies["_xsrf"]})).status == 200


async def test_scopes_are_those_of_the_hub(house: House):
    auth = await house.auth(config(Travelled))
    browser = await house.browser(auth)
    assert (await browser.get("/hub/managed")).status == 403
    await travel(browser)
    refused = await browser.get("/hub/managed")
    assert (refused.status, "requires any of [admin:users]" in refused.text) == (403, True)
    await browser.get("/hub/named?name=root")
    await (await house.pool()).execute("update users set admin = true where name = 'root'")
    assert (await browser.get("/hub/managed")).text.startswith('{"name": "root", "id": ')


async def test_a_log_out_of_its_own(house: House, browser):
    await travel(browser)
    server = await house.start("ada")
    code = query((await browser.get(server.authorize())).location)["code"]
    await browser.post("/hub/api/oauth2/token", server.exchange(code))
    assert await (await house.pool()).fetchval("select count(*) from tokens where session <> ''") == 1
    gone = await browser.get("/hub/logout")
    assert gone.location == "https://login.example/end"
    assert not {"jupyterhub-hub-login", "jupyterhub-session-id", "two"} & browser.cookies.keys()
    assert await (await house.pool()).fetchval("select count(*) from sessions") == 0
    assert await (await house.pool()).fetchval("select count(*) from tokens where session <> ''") == 0
    assert (await browser.get("/hub/logout")).status == 302  # for a stranger, too


async def test_a_session_is_never_one_that_the_browser_brought(house: House, browser):
    headers = {"Cookie": "jupyterhub-session-id=0123; jupyterhub-hub-login=mine"}
    await browser.get("/hub/begin?id=1")
    going_on = f"going-on={browser.cookies['going-on']}; {headers['Cookie']}"
    assert (await browser.get("/hub/back?id=1", headers={"Cookie": going_on})).status == 302
    first = browser.cookies["jupyterhub-session-id"]
    assert first != "0123"
    await travel(browser)
    assert browser.cookies["jupyterhub-session-id"] != first
    assert await (await house.pool()).fetchval("select array_agg(id) from sessions") == [
        browser.cookies["jupyterhub-session-id"]
    ]


async def test_logins_without_authenticate_and_one_in_the_place_of_another(house: House, browser):
    assert (await browser.get("/hub/named?name=bob")).location.startswith("/hub/")
    assert (await browser.get("/hub/own/x")).status == 500  # it has no such template
    again = await browser.get("/hub/named?name=bob")
    assert "Set-Cookie" not in again.headers  # nothing has changed
    assert (await browser.get("/hub/another")).text == "ada"
    users = await (await house.pool()).fetch("select u.name from sessions s join users u on u.id = s.user_id")
    assert [row["name"] for row in users] == ["ada"]


async def test_what_a_request_says_of_itself_is_not_believed(house: House, browser):
    await travel(browser)
    lies = {
        "X-Forwarded-For": "10.0.0.1",
        "X-Real-Ip": "10.0.0.2",
        "X-Scheme": "gopher",
        "X-Forwarded-Proto": "http",
        "Forwarded": "for=10.0.0.3;proto=https",
        "X-Forwarded-Host": "evil.example",
        "X-Hubbub-Asked": "x",
    }
    seen = await browser.get("/hub/seen?a=%2F&b", headers=lies)
    number = await (await house.pool()).fetchval("select number from users")
    assert seen.status == 200
    found = seen.json
    assert (found["ip"], found["protocol"], found["host"]) == ("203.0.113.7", "http", browser.host)
    assert (found["uri"], found["ada"], found["by_id"]) == ("/hub/seen?a=%2F&b", number, "ada")
    told = {"x-hubbub-forward", "x-hubbub-client", "x-hubbub-asked", "forwarded", "x-forwarded-host", "x-real-ip"}
    assert not told & set(found["headers"])


async def test_bodies_are_untouched_and_headers_its_own(browser):
    answer = await browser.post("/hub/raw", bytes(range(256)) * 300)
    assert answer.body == (bytes(range(256)) * 300)[::-1]
    assert answer.headers["Content-Security-Policy"] == "frame-ancestors https://lms.example"
    assert (await browser.post("/hub/raw", b"x" * (1024 * 1024 + 1))).status == 413


async def test_whatever_a_handler_does_others_go_on(house: House, browser):
    assert (await browser.get("/hub/leaves")).status == 500
    assert (await browser.get("/hub/fails")).status == 500
    Blocks.began.clear()
    blocked = asyncio.ensure_future(browser.get("/hub/blocks"))
    try:
        await asyncio.to_thread(Blocks.began.wait, 10)
        exchange = await browser.post("/hub/api/oauth2/token", {"grant_type": "authorization_code"})
        assert exchange.status in (400, 401)
        assert not blocked.done()
    finally:
        Blocks.may_end.set()
    assert (await blocked).text == "at last"
    assert not house.floor.exited.is_set()


async def test_a_queue_without_end_is_none(browser, monkeypatch):
    assert (await browser.get("/hub/login")).status == 200
    monkeypatch.setattr("hubbub_auth.classic.gateway.MOST", 0)
    busy = await browser.get("/hub/login")
    assert (busy.status, BUSY in busy.text, busy.headers["Retry-After"]) == (429, True, "5")


async def test_files_of_jupyterhub(browser):
    found = await browser.get("/hub/authenticator-static/css/style.min.css")
    assert (found.status, found.headers["Content-Type"]) == (200, "text/css")
    for nothing in ("nothing.css", "../templates/page.html", "..%2ftemplates%2fpage.html"):
        assert (await browser.get(f"/hub/authenticator-static/{nothing}")).status in (403, 404)
    assert (await browser.get("/hub/nothing")).status == 404


async def test_apis_are_told_which_pages_are_its_own(house: House):
    auth = await house.auth(config(Travelled))
    said = about(auth.app, "http://x")
    assert said.paths == ("api/oauth2/authorize", "api/oauth2/token", "login", "logout")
    assert {"begin", "own/([^/]*)", "logout", "authenticator-static/.*"} <= set(said.patterns)
    ours = await house.auth(DUMMY)
    assert about(ours.app, "http://x").patterns == ()


async def test_nobody_else_gets_in_by_the_socket(house: House, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    await house.auth(config(Travelled))
    folder = tmp_path / os.listdir(tmp_path)[0]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "pages").stat().st_mode) == 0o600
    async with ClientSession(connector=UnixConnector(os.fspath(folder / "pages"))) as session:
        for headers in ({}, {"X-Hubbub-Asked": ""}, {"X-Hubbub-Asked": "0" * 32}):
            async with session.get("http://localhost/hub/seen", headers=headers) as answer:
                assert answer.status == 403
