"""jupyterhub-ltiauthenticator, unmodified: people come from a learning platform that has signed who they are."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, quote
from uuid import uuid4

import aiohttp
import pytest
from oauthlib.oauth1 import SIGNATURE_TYPE_BODY, Client
from rigs.lti import platform
from yarl import URL

from browser import Browser
from login_abilities import Keeping
from login_suite import WRONG, Door, Kind, LoginSuite, identity_of

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="class")]

KEY, SECRET = "key-of-the-platform", "secret-of-the-platform"
OUTCOMES = "token-for-the-marks-of-the-course"

CONFIG = f"""
c.JupyterHub.authenticator_class = "ltiauthenticator.lti11.auth.LTI11Authenticator"
c.LTI11Authenticator.consumers = {{{KEY!r}: {SECRET!r}}}
c.LTI11Authenticator.username_key = "user_id"
c.Authenticator.enable_auth_state = True
"""


def launch(place: URL, name: str, path: str, secret: str = SECRET, timestamp: int = 0) -> list[tuple[str, str]]:
    """What the platform lets the browser send."""
    fields = {
        "lti_message_type": "basic-lti-launch-request",
        "lti_version": "LTI-1p0",
        "resource_link_id": "course-7",
        "user_id": name,
        "custom_outcomes_token": OUTCOMES,
        "custom_next": path,
    }
    stamp = str(timestamp or int(time.time()))
    client = Client(KEY, secret, signature_type=SIGNATURE_TYPE_BODY, timestamp=stamp, nonce=uuid4().hex)
    _, _, body = client.sign(str(place), "POST", fields, {"Content-Type": "application/x-www-form-urlencoded"})
    return parse_qsl(body, keep_blank_values=True)


async def send(browser: Browser, place: URL, fields: list[tuple[str, str]]) -> tuple[int, str]:
    async with browser.session.post(place, data=aiohttp.FormData(fields)) as response:
        browser.url = response.url
        return response.status, await response.text()


async def at_the_platform(browser: Browser, path: str) -> str:
    """Nothing of the hub has been seen yet."""
    return path


async def press_the_link(browser: Browser, path: str, name: str, password: str) -> tuple[int, str]:
    place = browser.base.join(URL("/hub/lti/launch"))
    return await send(browser, place, launch(place, name, path, WRONG if password == WRONG else SECRET))


class TestLti11(Keeping, LoginSuite):
    """Who is not let in is led to the page where logins begin, which is none: the platform's is."""

    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> Kind:
        return Kind(
            config=CONFIG, begin=at_the_platform, finish=press_the_link, refused=(401, 403, 405), secret=OUTCOMES
        )

    async def test_a_launch_counts_once(self, door: Door):
        """On every auth that sees it again; and not when it is old."""
        place = URL(door.hub.url).join(URL("/hub/lti/launch"))
        fields = launch(place, "ada", "/hub/home")
        async with door.browser() as browser:
            assert (await send(browser, place, fields))[0] == 200
        async with door.browser() as thief:
            answers = [(await send(thief, place, fields))[0] for _ in range(4)]
            assert answers == [401] * 4
            old = launch(place, "ada", "/hub/home", timestamp=int(time.time()) - 60)
            assert (await send(thief, place, old))[0] == 401
            assert await identity_of(thief) is None

    async def test_another_course_takes_somebody_elses_browser_over(self, door: Door):
        """Whoever comes from the platform is who it says, whoever was logged in before."""
        async with door.browser() as browser:
            await door.let_in(browser, "ada")
            await door.let_in(browser, "bob")
            identity: Any = await identity_of(browser)
            assert identity["name"] == "bob"

    async def test_the_platform_is_told_how_to_reach_us(self, door: Door):
        async with door.browser() as browser:
            status, page = await browser.get("/hub/lti11/config")
            assert status == 200
            assert f"{door.hub.url}hub/lti/launch" in page


LTI13 = """
c.JupyterHub.authenticator_class = "ltiauthenticator.lti13.auth.LTI13Authenticator"
c.LTI13Authenticator.issuer = "{url}"
c.LTI13Authenticator.authorize_url = "{url}/authorize"
c.LTI13Authenticator.jwks_endpoint = "{url}/keys"
c.LTI13Authenticator.client_id = "hub"
c.LTI13Authenticator.username_key = "sub"
c.Authenticator.enable_auth_state = True
"""


class TestLti13(Keeping, LoginSuite):
    """There and back: the hub asks the platform, which lets the browser bring what it has signed."""

    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> Iterator[Kind]:
        with platform() as made:

            async def to_the_platform(browser: Browser, path: str) -> str:
                target = quote(f"{browser.base.origin()}{path}", safe="")
                query = f"iss={quote(made.url, safe='')}&client_id=hub&login_hint=7&target_link_uri={target}"
                status, page = await browser.get(f"/hub/lti13/oauth_login?{query}")
                assert (status, browser.url.host) == (200, "localhost"), page
                return page

            async def press(browser: Browser, page: str, name: str, password: str) -> tuple[int, str]:
                made.forges = password == WRONG
                status, page = await browser.send(page, {"login": name})
                assert status == 200, page
                return await browser.send(page, {})

            yield Kind(
                config=LTI13.format(url=made.url),
                begin=to_the_platform,
                finish=press,
                refused=(400, 403),
                secret="@example.org",
            )
