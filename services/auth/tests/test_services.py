"""Services as OAuth clients: those of the configuration, and those registered while the hub runs (contract, 4.3, 8)."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from hubbub.domain.service import Spec
from hubbub_auth.testing import TOKEN, Answer, Browser, House, RunningServer, query, with_

SECRET = "a-token-of-the-lab"
BACK = "https://lab.example/callback"
LAB = Spec(name="lab", oauth_client_id="service-lab", oauth_redirect_uri=BACK)
CLIENT = RunningServer(id="", client="service-lab", secret=SECRET, redirect_uri=BACK)
CUSTOM = {"custom:lab:read": {"description": "Read what is measured in the lab"}}
VISITOR = {"name": "visitor", "scopes": ["access:services!service=lab", "custom:lab:read", "read:users:activity"]}


async def visitor(house: House, *, services: list[dict[str, Any]] | None = None) -> Browser:
    """Eve, logged in, who may use the lab."""
    hub = {"load_roles": [VISITOR], "custom_scopes": CUSTOM, "services": services or []}
    browser = await house.browser(config=with_(hub))
    await browser.log_in("eve")
    await house.grant("visitor", "eve")
    return browser


async def scopes_given(browser: Browser, answer: Answer, client: RunningServer = CLIENT) -> set[str]:
    given = await browser.post(TOKEN, client.exchange(query(answer.location)["code"]))
    assert given.status == 200, given.text
    return set(json.loads(given.text)["scope"].split())


ALWAYS = {"access:services!service=lab", "read:users:name!user", "read:users:groups!user"}


async def test_people_log_in_to_a_service_that_was_registered(house: House):
    browser = await visitor(house)
    assert (await browser.get(CLIENT.authorize())).status == 400
    await house.register(LAB, SECRET)
    page = await browser.get(CLIENT.authorize())
    assert (page.status, "the service lab" in page.text) == (200, True)
    answer = await browser.post(CLIENT.authorize(), {"_xsrf": page.xsrf})
    assert answer.location.startswith(f"{BACK}?code=")
    wrong = CLIENT.exchange(query(answer.location)["code"], client_secret="another-token")
    assert (await browser.post(TOKEN, wrong)).status == 401
    assert await scopes_given(browser, answer) == ALWAYS


async def test_one_that_was_removed_is_no_client(house: House):
    browser = await visitor(house)
    id = await house.register(replace(LAB, oauth_no_confirm=True), SECRET)
    answer = await browser.get(CLIENT.authorize())
    await house.remove(id)
    assert (await browser.post(TOKEN, CLIENT.exchange(query(answer.location)["code"]))).status == 401
    assert (await browser.get(CLIENT.authorize())).status == 400


async def test_custom_scopes_are_explained_in_the_operators_words(house: House):
    browser = await visitor(house)
    allowed = ("custom:lab:read", "read:users:activity!user")
    await house.register(replace(LAB, oauth_client_allowed_scopes=allowed), SECRET)
    page = await browser.get(CLIENT.authorize())
    assert "Read what is measured in the lab" in page.text
    assert "See when somebody was active last (only for yourself)" in page.text
    answer = await browser.post(CLIENT.authorize(), [("_xsrf", page.xsrf), ("scopes", "custom:lab:read")])
    assert await scopes_given(browser, answer) == {*ALWAYS, "custom:lab:read"}


ENTRY = {"name": "lab", "oauth_redirect_uri": BACK, "oauth_no_confirm": True, "api_token": SECRET}
MAY: list[dict[str, Any]] = [
    {"oauth_client_allowed_scopes": ["access:services!service", "read:users:activity!user"]},
    {"oauth_roles": ["lab-role", "no-such-role"]},
]


@pytest.mark.parametrize("may", MAY)
async def test_a_service_meant_by_itself_is_named_in_what_is_given(house: House, may: dict[str, Any]):
    """Nobody could say later which one `!service` was. (Of old, services named roles instead of scopes.)"""
    roles = [VISITOR, {"name": "lab-role", "scopes": ["access:services!service", "read:users:activity!user"]}]
    hub = {"load_roles": roles, "custom_scopes": CUSTOM, "services": [{**ENTRY, **may}]}
    browser = await house.browser(config=with_(hub))
    await browser.log_in("eve")
    await house.grant("visitor", "eve")
    answer = await browser.get(CLIENT.authorize())
    assert await scopes_given(browser, answer) == {*ALWAYS, "read:users:activity!user"}


async def test_nobody_takes_the_place_of_a_service_of_the_configuration(house: House):
    other = replace(LAB, name="mimic", oauth_redirect_uri="https://mimic.example/callback", oauth_no_confirm=True)
    browser = await visitor(house, services=[ENTRY])
    await house.register(other, "a-token-of-the-mimic")
    assert (await browser.get(CLIENT.authorize(redirect_uri="https://mimic.example/callback"))).status == 400
    assert (await browser.get(CLIENT.authorize())).location.startswith(BACK)


async def test_a_service_may_have_a_client_id_of_its_own(house: House):
    browser = await visitor(house, services=[{**ENTRY, "oauth_client_id": "service-of-the-lab"}])
    assert (await browser.get(CLIENT.authorize())).status == 400
    assert (await browser.get(CLIENT.authorize(client_id="service-of-the-lab"))).location.startswith(BACK)
