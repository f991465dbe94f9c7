"""What another site, or a neighbour on the host, can make somebody's browser do: see test_advisories.py."""

from typing import Any

import pytest

from browser import Browser
from stack import Hub

pytestmark = pytest.mark.asyncio(loop_scope="module")
PASSWORD = "password-of-everyone"


async def test_a_cookie_alone_changes_nothing(shared_house: Hub) -> None:
    async with Browser(shared_house.url) as browser:
        await browser.login("cara", PASSWORD)
        origin = {"Origin": "https://evil.example", "Sec-Fetch-Mode": "cors"}
        start = browser.base / "hub/api/users/cara/servers/forged"
        async with browser.session.post(start, headers=origin) as response:
            assert response.status == 403
        async with browser.session.get(browser.base / "hub/api/user", headers=origin) as response:
            assert response.status == 403
        async with browser.session.post(start, data={"x": "y"}, headers=browser.xsrf()) as response:
            assert response.status == 403  # a form of somebody's page, not JSON of ours
        anonymous = Browser(shared_house.url)
        async with anonymous:
            await anonymous.get("/hub/login")
            stolen = anonymous.xsrf()  # a token of another browser
        async with browser.session.post(start, json={}, headers={**origin, **stolen}) as response:
            assert response.status == 403
        assert "forged" not in (await shared_house.model("cara"))["servers"]


async def test_a_login_gets_a_session_of_its_own(shared_house: Hub) -> None:
    async with Browser(shared_house.url) as browser:
        browser.session.cookie_jar.update_cookies({"jupyterhub-session-id": "chosen-by-somebody"}, browser.base)
        await browser.login("dora", PASSWORD)
        assert browser.cookie("jupyterhub-session-id") not in ("", "chosen-by-somebody")


ELSEWHERE = [
    "//evil.example",
    "https://evil.example/",
    "/\\evil.example",
    "///evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "\n//evil.example",
    "https:evil.example",
    "https:///evil.example",
    "javascript:alert(1)//evil.example",
    "//evil.example%2f%2e%2e",
    "/%5cevil.example",
    "http://127.0.0.1@evil.example/",
]


async def test_nobody_is_sent_elsewhere_after_the_login(shared_house: Hub) -> None:
    """Open redirects through `next`, with all the spellings that browsers read as another site."""
    async with Browser(shared_house.url) as browser:
        await browser.login("eve", PASSWORD)
        for page in ("hub/login", "hub/spawn-pending/eve", "hub/user-redirect/x", "hub/spawn/eve"):
            for place in ELSEWHERE:
                asked = browser.base / page
                async with browser.session.get(asked, params={"next": place}, allow_redirects=False) as response:
                    going = response.headers.get("Location", "/")
                    # A path of ours, which no browser takes for the beginning of a host.
                    assert going.startswith("/") and going[1:2] not in ("/", "\\"), (page, place, going)
                    assert going.isprintable(), (page, place, going)


async def test_an_image_on_another_site_reads_nothing(shared_house: Hub) -> None:
    """`Sec-Fetch-Mode: no-cors` is no excuse for the missing XSRF token, unless the page is one of ours."""
    async with Browser(shared_house.url) as browser:
        await browser.login("cara", PASSWORD)
        for site, expected in (("cross-site", 403), ("same-site", 403), ("none", 403), ("same-origin", 200)):
            headers = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": site}
            async with browser.session.get(browser.base / "hub/api/user", headers=headers) as response:
                assert (response.status, site) == (expected, site)
            async with browser.session.post(browser.base / "hub/api/users/cara/tokens", headers=headers) as response:
                assert response.status == 403
        async with browser.session.get(browser.base / "hub/api/user", headers={"Sec-Fetch-Mode": "cors"}) as response:
            assert response.status == 403


async def test_cookies_that_a_neighbour_has_planted_open_nothing(shared_house: Hub) -> None:
    """Cookie tossing: whoever runs code on a server can set cookies for the whole host, and for longer paths."""
    async with Browser(shared_house.url) as mallory, Browser(shared_house.url) as browser:
        await mallory.login("mallet", PASSWORD)
        await browser.login("vera", PASSWORD)
        theirs, hers = mallory.cookie("_xsrf"), browser.cookie("_xsrf")
        login, session = browser.cookie("jupyterhub-hub-login"), browser.cookie("jupyterhub-session-id")
        planted = mallory.cookie("jupyterhub-session-id")
        ask = f"{shared_house.url}hub/api/users/vera/servers/planted"

        async def sent(token: str, *cookies: str) -> int:
            headers = {"Cookie": "; ".join(cookies), "X-XSRFToken": token, "Origin": "https://mallet.example"}
            async with shared_house.session.put(ask, headers=headers, json={}) as response:
                return response.status

        hub = f'jupyterhub-hub-login="{login}"'
        for cookies in (
            (f"_xsrf={theirs}", hub, f"jupyterhub-session-id={session}"),
            (f"_xsrf={theirs}", f"_xsrf={hers}", hub, f"jupyterhub-session-id={session}"),
            (f"_xsrf={theirs}", hub, f"jupyterhub-session-id={planted}"),
            (f"jupyterhub-session-id={planted}", f"_xsrf={theirs}", hub, f"jupyterhub-session-id={session}"),
        ):
            assert await sent(theirs, *cookies) == 403, cookies
        assert "planted" not in (await shared_house.model("vera"))["servers"]
        # Her own token is found among those that were planted.
        good = (f"_xsrf={theirs}", f"_xsrf={hers}", hub, f"jupyterhub-session-id={session}")
        assert await sent(hers, *good) == 201


async def test_a_log_out_ends_whatever_was_copied_before(shared_house: Hub) -> None:
    async with Browser(shared_house.url) as browser:
        await browser.login("lola", PASSWORD)
        names = ("jupyterhub-hub-login", "jupyterhub-session-id", "_xsrf")
        copied = {"Cookie": "; ".join(f'{name}="{browser.cookie(name)}"' for name in names), **browser.xsrf()}

        async def as_copied(path: str) -> tuple[int, Any]:
            async with shared_house.session.get(
                f"{shared_house.url}{path}", headers=copied, allow_redirects=False
            ) as response:
                return response.status, response.headers.get("Location", "")

        assert (await as_copied("hub/api/user"))[0] == 200
        async with browser.session.get(browser.base / "hub/logout", allow_redirects=False) as response:
            gone = response.headers.getall("Set-Cookie")
        assert all(any(line.startswith(f'{name}="";') for line in gone) for name in names), gone
        assert (await as_copied("hub/api/user"))[0] == 403
        assert (await as_copied("hub/home"))[1].startswith("/hub/login")


async def test_pages_cannot_be_framed_and_load_nothing_from_elsewhere(shared_house: Hub) -> None:
    async with shared_house.session.get(f"{shared_house.url}hub/login") as response:
        policy = response.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-inline" not in policy
        assert "<script>" not in await response.text()


async def test_a_way_back_is_kept_though_it_grows_by_being_quoted(shared_house: Hub) -> None:
    """Longer than what aiohttp takes for a header unless it is told to; what is too long for it is said."""
    place = f"{shared_house.url}hub/api/oauth2/authorize?state={'/' * 3900}"
    enough = {"max_line_size": 2**16, "max_field_size": 2**16}
    async with shared_house.session.get(place, allow_redirects=False, **enough) as response:
        assert (response.status, response.headers["Location"].count("%2F")) == (302, 3904)
    async with shared_house.session.get(f"{place}{'/' * 3900}", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, "/hub/login")
