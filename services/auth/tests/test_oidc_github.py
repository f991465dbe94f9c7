"""Logins at GitHub, as its documentation says that it behaves."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from github_double import CLIENT, SECRET, GitHubDouble, user
from openid_round import at_provider, begin, config, in_progress, log_in

from hubbub_auth.testing import House

LOGIN = "/hub/oauth_login"


def at(github: GitHubDouble, **section):
    usual = {"client_id": CLIENT, "client_secret": SECRET, "github_url": github.url}
    return config("hubbub-github", usual | section)


async def person(house: House):
    query = """
        select u.*, array(select g.name from members m join groups g on g.id = m.group_id
                          where m.user_id = u.id order by g.name) as groups from users u
    """
    return await (await house.pool()).fetchrow(query)


async def is_fresh(browser, user: str) -> bool:
    answer = await browser.send("POST", "/hub/internal/refresh", json={"user": user, "force": True})
    return json.loads(answer.text)["fresh"]


async def test_a_login_there_is_a_login_here(house: House, github):
    browser = await house.browser(config=at(github))
    assert "Log in with GitHub" in (await browser.get("/hub/login")).text
    there = await begin(browser, f"{LOGIN}?next=/hub/x")
    asked = parse_qs(urlsplit(there).query)
    assert there.startswith(f"{github.url}/login/oauth/authorize?")
    assert "scope" not in asked  # nothing is asked for that is not needed
    assert asked["redirect_uri"] == [f"http://{browser.host}/hub/oauth_callback"]
    answer = await browser.get(await at_provider(there))
    assert (answer.status, answer.location) == (302, "/hub/x")
    assert ((await person(house))["name"], github.asked) == ("ada", ["token", "/user"])
    assert not in_progress(browser)


async def test_the_name_may_be_the_id(house: House, github):
    await log_in(await house.browser(config=at(github, username_claim="id")), LOGIN)
    assert (await person(house))["name"] == "1"


@pytest.mark.parametrize(
    ("section", "is_in"),
    [
        ({"allowed_organizations": {"numbers"}}, True),
        ({"allowed_organizations": {"NUMBERS:Poets"}}, True),
        ({"allowed_organizations": {"numbers:admins"}}, False),
        ({"allowed_organizations": {"number"}}, False),
        ({"allowed_organizations": {"poets"}}, False),
        ({"allowed_groups": {"Numbers"}}, True),
        ({"admin_groups": {"numbers:poets"}, "allowed_users": {"eve"}}, True),
        ({"allowed_users": {"ada"}}, True),
        ({"allowed_users": {"eve"}}, False),
    ],
)
async def test_who_may_log_in(house: House, github, section, is_in):
    browser = await house.browser(config=at(github, **section))
    answer = await log_in(browser, LOGIN)
    assert answer.status == (302 if is_in else 403), answer.text
    row = await person(house)
    assert bool(row) is is_in
    assert row is None or row["admin"] is ("admin_groups" in section)
    if "allowed_organizations" in section:
        assert github.scopes == "read:org"


async def test_organisations_and_teams_are_groups(house: House, github):
    await log_in(await house.browser(config=at(github, manage_groups=True)), LOGIN)
    assert (await person(house))["groups"] == ["Numbers", "numbers:poets"]


async def test_long_lists_are_read_to_the_end_but_not_for_ever(house: House, github):
    github.users["Ada"] = user("Ada", 1, [f"org{n:03}" for n in range(250)], {})
    browser = await house.browser(config=at(github, manage_groups=True))
    await log_in(browser, LOGIN)
    assert len((await person(house))["groups"]) == 250
    assert github.asked.count("/user/orgs") == 3
    browser = await house.browser(config=at(github, manage_groups=True, most_pages=2))
    await log_in(browser, LOGIN)
    assert len((await person(house))["groups"]) == 200


async def test_a_code_is_good_once(house: House, github):
    browser = await house.browser(config=at(github))
    back = await at_provider(await begin(browser, LOGIN))
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    assert (await browser.get(back)).status == 302
    again = await house.browser(config=at(github))
    answer = await again.get(back, headers={"Cookie": cookie})
    assert (answer.status, "does not know of it any more" in answer.text) == (403, True)


async def test_a_code_of_another_login_is_refused(house: House, github):
    browser, attacker = [await house.browser(config=at(github)) for _ in range(2)]
    stolen = parse_qs(urlsplit(await at_provider(await begin(attacker, LOGIN))).query)["code"][0]
    state = parse_qs(urlsplit(await begin(browser, LOGIN)).query)["state"][0]
    answer = await browser.get(f"/hub/oauth_callback?code={stolen}&state={state}")
    assert (answer.status, await person(house)) == (403, None)


async def test_a_wrong_secret_is_not_the_persons_fault(house: House, github):
    answer = await log_in(await house.browser(config=at(github, client_secret="old")), LOGIN)
    assert (answer.status, "Ask whoever runs this hub" in answer.text) == (502, True)


@pytest.mark.parametrize("status", [403, 500, 502])
async def test_an_api_that_fails_says_so(house: House, github, status):
    github.api_status = status
    answer = await log_in(await house.browser(config=at(github)), LOGIN)
    assert (answer.status, "GitHub does not answer at the moment" in answer.text) == (503, True)


@pytest.mark.parametrize("app", ["oauth", "github"])
async def test_membership_is_asked_again(house: House, github, app):
    github.app = app
    section = {"enable_auth_state": True, "manage_groups": True, "allowed_organizations": {"numbers"}}
    browser = await house.browser(config=at(github, **section))
    await log_in(browser, LOGIN)
    id = (await person(house))["id"]
    github.users["Ada"]["teams"] = {"numbers": ["poets", "chess"]}
    assert await is_fresh(browser, id)
    assert (await person(house))["groups"] == ["Numbers", "numbers:chess", "numbers:poets"]
    github.expire()
    assert await is_fresh(browser, id) is (app == "github")
    github.api_status = 500
    answer = await browser.send("POST", "/hub/internal/refresh", json={"user": id})
    assert json.loads(answer.text)["fresh"]
    github.api_status = None
    github.revoke()
    assert not await is_fresh(browser, id)


@pytest.mark.parametrize("change", [{"id": 2}, {"login": "root"}, {"orgs": [], "teams": {}}])
async def test_whoever_is_somebody_else_now_has_to_log_in_again(house: House, github, change):
    section = {"enable_auth_state": True, "allowed_organizations": {"numbers"}}
    browser = await house.browser(config=at(github, **section))
    await log_in(browser, LOGIN)
    github.users["Ada"] |= change
    assert not await is_fresh(browser, (await person(house))["id"])


async def test_a_renewed_token_is_kept_though_the_api_fails_then(house: House, github, monkeypatch):
    github.app = "github"
    browser = await house.browser(config=at(github, enable_auth_state=True))
    await log_in(browser, LOGIN)
    id = (await person(house))["id"]
    github.expire()
    real = github._token

    async def token(request):
        github.api_status = 500
        return await real(request)

    monkeypatch.setattr(github, "_token", token)
    for resource in github.server.app.router.routes():
        if resource.resource.canonical == "/login/oauth/access_token":
            monkeypatch.setattr(resource, "_handler", token)
    assert await is_fresh(browser, id)
    github.api_status = None
    assert await is_fresh(browser, id)
    assert github.asked.count("token") == 2
