"""A provider is asked again of those who logged in a while ago."""

import asyncio
import json

from openid_round import log_in, of_double

from hubbub_auth.testing import House


async def logged_in(house: House, double, **section):
    """A browser of Ada's, and her id."""
    given = {"enable_auth_state": True, "manage_groups": True, **section}
    browser = await house.browser(config=of_double(double, **given))
    assert (await log_in(browser)).status == 302
    double.asked.clear()
    return browser, await (await house.pool()).fetchval("select id from users")


async def is_fresh(browser, user: str) -> bool:
    """Asked with force: so False if nobody can tell."""
    answer = await browser.send("POST", "/hub/internal/refresh", json={"user": user, "force": True})
    return json.loads(answer.text)["fresh"]


async def groups(house: House) -> list[str]:
    query = "select g.name from members m join groups g on g.id = m.group_id order by g.name"
    return [row["name"] for row in await (await house.pool()).fetch(query)]


async def kept(house: House, browser, name: str):
    """What of the auth state a hook would see."""
    from hubbub_auth.keys import ADMISSION

    person = await browser._server.app[ADMISSION].person("ada")
    return (await person.get_auth_state())[name]


async def test_groups_change_with_the_userinfo(house: House, double):
    browser, user = await logged_in(house, double)
    double.people["s-ada"]["groups"] = ["physics", "chess"]
    assert await is_fresh(browser, user)
    assert (await groups(house), double.asked) == (["chess", "physics"], ["userinfo"])


async def test_groups_that_only_the_id_token_has_come_with_a_new_one(house: House, double):
    """And the last group goes, though the provider then leaves the claim out."""
    double.userinfo_twist = {"groups": None}
    browser, user = await logged_in(house, double)
    double.people["s-ada"]["groups"] = ["chess"]
    assert await is_fresh(browser, user)
    assert (await groups(house), double.asked) == (["chess"], ["userinfo", "refresh_token"])
    del double.people["s-ada"]["groups"]
    assert await is_fresh(browser, user)
    assert await groups(house) == []


async def test_groups_stay_if_nobody_says_anything_of_them(house: House, double):
    double.renews_id_tokens = False
    browser, user = await logged_in(house, double)
    double.userinfo_twist = {"groups": None}
    assert await is_fresh(browser, user)
    assert await groups(house) == ["physics"]


async def test_an_access_token_that_has_run_out_is_renewed(house: House, double):
    browser, user = await logged_in(house, double)
    before = await kept(house, browser, "refresh_token")
    for _ in range(2):
        double.expire()
        assert await is_fresh(browser, user)
    assert double.asked.count("refresh_token") == 2
    assert await kept(house, browser, "refresh_token") != before
    double.expires_in = 0
    assert (await kept(house, browser, "oauth_user"))["preferred_username"] == "Ada"


async def test_whoever_is_revoked_there_has_to_log_in_again(house: House, double):
    browser, user = await logged_in(house, double)
    double.revoke()
    assert not await is_fresh(browser, user)
    assert double.asked == ["userinfo", "refresh_token"]


async def test_without_a_refresh_token_the_access_token_has_to_do(house: House, double):
    double.gives_refresh_tokens = False
    browser, user = await logged_in(house, double)
    assert await is_fresh(browser, user)
    double.expire()
    assert not await is_fresh(browser, user)


async def test_a_provider_that_is_away_makes_nobody_log_in_again(house: House, double):
    browser, user = await logged_in(house, double)
    for status in (500, 429, 403):
        double.userinfo_status = status
        answer = await browser.send("POST", "/hub/internal/refresh", json={"user": user, "force": False})
        assert json.loads(answer.text)["fresh"]
    await (await house.pool()).execute("update vouched set at = at - interval '1 day'")
    answer = await browser.send("POST", "/hub/internal/refresh", json={"user": user})
    assert json.loads(answer.text)["fresh"]
    await (await house.pool()).execute("update vouched set at = at - interval '1 day'")
    double.userinfo_status = None
    double.expire()
    double.token_status = 503
    answer = await browser.send("POST", "/hub/internal/refresh", json={"user": user})
    assert json.loads(answer.text)["fresh"]
    assert await groups(house) == ["physics"]


async def test_new_tokens_are_kept_though_the_provider_fails_then(house: House, double):
    """Else the old refresh token, which is used up, would be tried for ever."""
    browser, user = await logged_in(house, double)
    double.expire()
    double.renews_id_tokens = False
    before, double.userinfo_status = await kept(house, browser, "refresh_token"), None
    real = double._tokens

    def tokens(*given):
        double.userinfo_status = 500
        return real(*given)

    double._tokens = tokens
    assert await is_fresh(browser, user)
    assert await kept(house, browser, "refresh_token") != before
    double.userinfo_status, double._tokens = None, real
    assert await is_fresh(browser, user)
    assert await groups(house) == ["physics"]


async def test_what_another_auth_has_renewed_is_no_refusal(house: House, double):
    """Refresh tokens are good for one use; two auths may ask at the same moment."""
    browser, user = await logged_in(house, double)
    other = await house.browser(config=of_double(double, enable_auth_state=True, manage_groups=True))
    for _ in range(5):
        double.expire()
        answers = await asyncio.gather(is_fresh(browser, user), is_fresh(other, user))
        assert answers == [True, True]


async def test_whoever_is_somebody_else_now_has_to_log_in_again(house: House, double):
    browser, user = await logged_in(house, double)
    double.userinfo_twist = {"sub": "s-eve"}
    assert not await is_fresh(browser, user)


async def test_whoever_is_called_something_else_now_has_to_log_in_again(house: House, double):
    browser, user = await logged_in(house, double)
    double.people["s-ada"]["preferred_username"] = "root"
    assert not await is_fresh(browser, user)


async def test_whoever_left_the_groups_that_may_has_to_log_in_again(house: House, double):
    browser, user = await logged_in(house, double, allowed_groups={"physics"}, admin_groups={"chess"})
    double.people["s-ada"]["groups"] = ["physics", "chess"]
    assert await is_fresh(browser, user)
    assert await (await house.pool()).fetchval("select admin from users")
    double.people["s-ada"]["groups"] = ["physics"]
    assert await is_fresh(browser, user)
    assert not await (await house.pool()).fetchval("select admin from users")
    double.people["s-ada"]["groups"] = ["cooking"]
    assert not await is_fresh(browser, user)


async def test_without_auth_state_nobody_is_asked(house: House, double):
    browser, user = await logged_in(house, double, enable_auth_state=False)
    double.revoke()
    assert await is_fresh(browser, user)
    assert double.asked == []


async def test_a_class_with_a_hook_lives_on_the_floor_and_asks_from_home(house: House, double):
    def hook(authenticator, handler, model):
        return model | {"admin": model["name"] == "ada"}

    browser, user = await logged_in(house, double, post_auth_hook=hook)
    assert await (await house.pool()).fetchval("select admin from users")
    double.expire()
    assert await is_fresh(browser, user)
    double.revoke()
    assert not await is_fresh(browser, user)
