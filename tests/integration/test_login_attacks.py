"""What a whole hub does with hostile places to go to, requests, forms and cookies; services/auth/tests has more.

Where the classes of fault are tested that published advisories of JupyterHub and of its authenticators are about:

- open redirects (CVE-2019-10255), forms that Sec-Fetch-Mode excuses (CVE-2026-40864): here;
- requests without a token (CVE-2020-36191), planted cookies (CVE-2024-28233), what is left after a log-out
  (CVE-2021-41247): test_browsers_made_use_of.py, services/auth/tests/test_attacks_cookies.py;
- two spellings of a name (CVE-2021-41194), options of former names (CVE-2020-26250): test_attacks_names.py there;
- signatures and claims that nobody looks at (CVE-2023-25574, CVE-2022-31027, CVE-2026-33175): test_oidc*.py there;
- what grows before anybody is known (CVE-2026-34052): test_throttle.py and test_oidc_attacks.py there.
"""

import asyncio
import json
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from urllib.parse import quote, urlsplit

import pytest
import pytest_asyncio
from yarl import URL

from browser import Browser
from hubbub.testing.redirects import EVIL, HOST, HOSTILE, lands_on
from stack import Hub, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
PASSWORD = "password-of-everyone"
WHATWG = """
    const asked = JSON.parse(require("fs").readFileSync(0))
    const host = url => { try { return new URL(url, "http://hub.example/hub/login").host } catch { return "" } }
    console.log(JSON.stringify(asked.map(host)))
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def eve(shared_house: Hub) -> AsyncIterator[Browser]:
    """Logged in, and her server runs."""
    async with Browser(shared_house.url) as browser:
        await browser.login("eve", PASSWORD)
        assert (await shared_house.api("POST", "/users/eve/server"))[0] in (201, 202)
        await eventually(lambda: shared_house.is_ready("eve"), 30, "eve's server is ready")
        yield browser


def encoded(place: str) -> str:
    return quote(place, safe="", errors="surrogatepass")


def stays(shared_house: Hub, location: str) -> bool:
    """Whether a browser that is sent there is still at this hub."""
    here = urlsplit(shared_house.url)
    return location.isprintable() and lands_on(location, here.netloc, here.scheme) == here.netloc


async def test_a_browser_is_not_sent_elsewhere_by_our_judgement_of_what_browsers_do() -> None:
    """`lands_on`, which these tests rely on, says what a real implementation of the standard says."""
    places = [place for place in HOSTILE if place.isascii() or place.isprintable()]
    node = await asyncio.create_subprocess_exec("node", "-e", WHATWG, stdin=PIPE, stdout=PIPE)
    said, _ = await node.communicate(json.dumps(places).encode())
    for place, host in zip(places, json.loads(said), strict=True):
        if host != HOST:
            assert lands_on(place) != HOST, place


PAGES = [
    "hub/login",
    "hub/spawn",
    "hub/spawn/eve",
    "hub/spawn-pending/eve",
    "hub/",
    "hub/home",
    "hub/user-redirect/tree",
    "hub/user/eve/tree",
    "user/eve",
    "hub",
]


@pytest.mark.parametrize("page", PAGES)
async def test_no_page_sends_anybody_elsewhere(shared_house: Hub, eve: Browser, page: str) -> None:
    for place in HOSTILE:
        asked = f"/{page}?next={encoded(place)}"
        async with eve.session.get(_url(shared_house, asked), allow_redirects=False) as response:
            if response.status == 200 or (response.status == 400 and "\0" in place):
                continue  # a page of ours
            assert 300 <= response.status < 400, (response.status, place)
            assert stays(shared_house, response.headers["Location"]), (place, response.headers["Location"])


async def test_a_login_sends_nobody_elsewhere(shared_house: Hub) -> None:
    """Neither by its address nor by a field of its form."""
    async with Browser(shared_house.url) as browser:
        await browser.login("nora", PASSWORD)
        for place in HOSTILE:
            for query, field in ((place, ""), ("", place)):
                fields = {"username": "nora", "password": PASSWORD, "_xsrf": browser.cookie("_xsrf")}
                body = "&".join(f"{k}={encoded(v)}" for k, v in {**fields, "next": field}.items())
                kind = {"Content-Type": "application/x-www-form-urlencoded"}
                where = _url(shared_house, f"/hub/login?next={encoded(query)}")
                async with browser.session.post(
                    where, data=body.encode(), headers=kind, allow_redirects=False
                ) as response:
                    if response.status in (400, 403):  # what nobody means is not looked at
                        assert "\0" in place or len(place) > 4096, place
                        continue
                    assert response.status == 302, (response.status, place)
                    assert stays(shared_house, response.headers["Location"]), place


async def test_a_log_out_leads_to_the_login_whatever_is_asked_for(shared_house: Hub) -> None:
    for place in HOSTILE[:20]:
        where = _url(shared_house, f"/hub/logout?next={encoded(place)}")
        async with shared_house.session.get(where, allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (302, "/hub/login")


def _url(house: Hub, path: str) -> URL:
    return URL(house.url.rstrip("/") + path, encoded=True)


TARGETS = [
    f"//{EVIL}",
    f"//{EVIL}/hub/login",
    f"///{EVIL}/%2e%2e",
    f"/\\{EVIL}",
    f"/.//{EVIL}",
    f"/..//{EVIL}",
    f"/hub/..//{EVIL}",
    f"/hub//{EVIL}",
    f"//hub//{EVIL}/",
    f"/hub/user-redirect//{EVIL}",
    f"/hub/user-redirect/..//{EVIL}",
    f"/hub/user/eve//{EVIL}",
    f"/hub/user//{EVIL}",
    f"/user//{EVIL}",
    f"/user/eve/..//..//{EVIL}",
    f"/services//{EVIL}",
    f"/services/x//{EVIL}/..",
    f"/hub/spawn//{EVIL}",
    f"/hub/%2f%2f{EVIL}",
    f"/%2f%2f{EVIL}/..",
    f"/%5c%5c{EVIL}",
    f"/hub;@{EVIL}",
    f"/@{EVIL}",
    f"/?//{EVIL}",
    f"http://{EVIL}/user/eve",
    f"http://{EVIL}//{EVIL}/",
    f"/%0d%0aLocation:%20https://{EVIL}/",
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("door", ["proxy", "hub"])
async def test_no_address_of_ours_is_a_way_to_another_site(
    shared_house: Hub, eve: Browser, door: str, target: str
) -> None:
    """As it is sent, to the letter, with and without a login: wherever it leads, step by step, it is here."""
    url = shared_house.url if door == "proxy" else shared_house.running()["hub_url"]
    place = urlsplit(url)
    login = "; ".join(f'{name}="{eve.cookie(name)}"' for name in ("jupyterhub-hub-login", "jupyterhub-session-id"))
    for cookies in ("", login):
        going = target
        for _ in range(3):
            status, location = await _raw(place.hostname, place.port, f"GET {going} HTTP/1.1", f"Cookie: {cookies}")
            assert status < 500 or (status == 503 and door == "proxy"), (status, going)
            if not location:
                break
            assert stays(shared_house, location), (going, location)
            going = location


async def _raw(host: str | None, port: int | None, line: str, *headers: str) -> tuple[int, str]:
    """Status and Location of the answer to a request that no client would send."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write("\r\n".join([line, f"Host: 127.0.0.1:{port}", "Connection: close", *headers, "", ""]).encode())
    answer = (await asyncio.wait_for(reader.read(), 20)).decode(errors="replace")
    writer.close()
    head = answer.partition("\r\n\r\n")[0].split("\r\n")
    found = [each.partition(":")[2].strip() for each in head if each.lower().startswith("location:")]
    assert len(found) <= 1, head
    return int(head[0].split()[1]), "".join(found)


NOT_OURS = [
    {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Mode": "websocket"},
    {"Origin": "null"},
    {},
]


@pytest.mark.parametrize("headers", NOT_OURS, ids=str)
@pytest.mark.parametrize("page", ["spawn", "spawn/eve/forged", "accept-share", "login", "api/oauth2/authorize"])
async def test_no_header_stands_for_the_token_of_a_form(
    shared_house: Hub, eve: Browser, page: str, headers: dict[str, str]
) -> None:
    """CVE-2026-40864: whatever a browser says of how a form was sent, without its token it is not taken."""
    for fields in ({"code": "x"}, {"code": "x", "_xsrf": ""}, {"code": "x", "_xsrf": eve.cookie("_xsrf")[:-2]}):
        where = f"{shared_house.url}hub/{page}?client_id=jupyterhub-user-eve&response_type=code"
        async with eve.session.post(where, data=fields, headers=headers, allow_redirects=False) as response:
            assert response.status == 403
    assert set((await shared_house.model("eve"))["servers"]) == {""}


FORMS = "application/x-www-form-urlencoded"


@pytest.mark.parametrize("page", ["spawn", "accept-share", "login", "api/oauth2/authorize"])
async def test_a_charset_does_not_keep_the_hub_busy(shared_house: Hub, page: str) -> None:
    """Python reads a megabyte of punycode for hours, of whoever sends it, and answers nobody else meanwhile."""
    kind = {"Content-Type": f"{FORMS}; charset=punycode"}
    body = b"x=abc-" + b"za" * 450_000
    async with shared_house.session.post(
        f"{shared_house.url}hub/{page}", data=body, headers=kind, allow_redirects=False
    ) as response:
        assert response.status in (302, 400, 403, 413)
    async with shared_house.session.get(f"{shared_house.url}hub/health") as response:
        assert response.status == 200


@pytest.mark.parametrize(
    "body", [b"--B\r\n\r\nx\r\n--B--\r\n", b"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--\r\n", b"x", b""]
)
async def test_a_broken_form_is_no_fault_of_the_hub(shared_house: Hub, body: bytes) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=B"}
    for page in ("spawn", "accept-share", "login"):
        async with shared_house.session.post(f"{shared_house.url}hub/{page}", data=body, headers=kind) as response:
            assert response.status in (400, 403), page


@pytest.mark.parametrize("name", ["jupyterhub-hub-login", "jupyterhub-session-id", "_xsrf"])
async def test_a_planted_cookie_that_is_no_text_locks_nobody_out(shared_house: Hub, name: str) -> None:
    port = urlsplit(shared_house.url).port
    for path, expected in (("/hub/login", 200), ("/hub/home", 302), ("/hub/logout", 302), ("/hub/api/user", 403)):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        cookie = b"Cookie: " + name.encode() + b"=\xff\xfe\xed\xa0\x80"
        writer.write(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n\r\n" % (path.encode(), cookie))
        status = int((await reader.read()).split(b" ", 2)[1])
        writer.close()
        assert status == expected, path


async def test_a_user_called_like_a_part_of_an_address_is_nobody_special(shared_house: Hub) -> None:
    """For the OAuth endpoints forms are taken with a cookie; `oauth2` in the place of a name is no reason to."""
    async with Browser(shared_house.url) as browser:
        await browser.login("oauth2", PASSWORD)
        where = f"{shared_house.url}hub/api/users/oauth2/servers/oauth2"
        for kind in (FORMS, "text/plain", "multipart/form-data; boundary=B"):
            headers = {**browser.xsrf(), "Content-Type": kind}
            async with browser.session.post(where, data=b"", headers=headers) as response:
                assert response.status == 403, kind
        assert set((await shared_house.model("oauth2"))["servers"]) == {""}


async def test_a_token_of_a_page_before_the_login_changes_nothing_after_it(shared_house: Hub) -> None:
    async with Browser(shared_house.url) as browser:
        await browser.get("/hub/login")
        before = browser.cookie("_xsrf")
        await browser.login("stella", PASSWORD)
        assert before not in ("", browser.cookie("_xsrf"))
        for path in ("hub/api/users/stella/tokens", "hub/api/users/stella/server"):
            async with browser.session.post(f"{shared_house.url}{path}", headers={"X-XSRFToken": before}) as response:
                assert response.status == 403
