"""From another site into the hub, after a login there: not as if that site wanted what comes next."""

from typing import Any

import pytest
from jupyterhub.auth import Authenticator as Classic

from hubbub_auth.authenticators import Authenticator
from hubbub_auth.testing import Answer, House, with_


class AtOnce(Authenticator):
    """Knows everybody who comes, as one behind a trusted proxy would."""

    async def authenticate(self, handler: Any, data: dict[str, str]) -> str:
        return "ada"


class ClassicAtOnce(Classic):  # type: ignore[misc]
    async def authenticate(self, handler: Any, data: Any) -> str:
        return "ada"


@pytest.fixture(params=[AtOnce, ClassicAtOnce])
async def browser(house: House, request: pytest.FixtureRequest) -> Any:
    options = {"allow_all": True, "auto_login": True}
    return await house.browser(config=with_({"authenticator_class": request.param}, Authenticator=options))


async def come(browser: Any, site: str, next: str) -> Answer:
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
    answer: Answer = await browser.get(f"/hub/login?next={next}", headers=headers)
    return answer


@pytest.mark.parametrize("next", ["/hub/", "/hub/home", "/user/ada/lab", "/hub/user-redirect/x", "/hub/%22%3E"])
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_page_of_ours_is_where_they_come_from(browser: Any, next: str, site: str):
    answer = await come(browser, site, next)
    assert (answer.status, answer.location) == (200, "")
    assert f'<meta http-equiv="refresh" content="0; url={next}">' in answer.text
    assert "jupyterhub-hub-login" in browser.cookies
    assert (await browser.get("/hub/login?next=/hub/home")).location == "/hub/home"


@pytest.mark.parametrize("site", ["same-origin", "none"])
async def test_others_go_there_at_once(browser: Any, site: str):
    answer = await come(browser, site, "/hub/home")
    assert (answer.status, answer.location) == (302, "/hub/home")


@pytest.mark.parametrize("next", ["/hub/spawn", "/hub/spawn/ada/x", "/hub/spawn%3Fopt-image=evil", "/hub/%3Fopt-x=1"])
async def test_what_another_site_may_have_made_up_is_still_its_wish(browser: Any, next: str):
    assert (await come(browser, "cross-site", next)).status == 302
