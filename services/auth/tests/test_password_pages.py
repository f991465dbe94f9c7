"""Changing one's password, links to choose one by, and the page of the administrators."""

import asyncio
import re

import pytest
from aiohttp.test_utils import TestServer

from hubbub import admin
from hubbub.domain.account import LINK_IS_NO_GOOD
from hubbub.domain.message import Invalid
from hubbub_auth.attempt import TOO_MANY, WRONG
from hubbub_auth.authenticators.passwords import PasswordAuthenticator, administration, own, parts
from hubbub_auth.authenticators.passwords.accounts import Found
from hubbub_auth.authenticators.passwords.testing import GOOD, OTHER, account, config, of, sign_up
from hubbub_auth.testing import Answer, Browser, House
from hubbub_auth.throttle import ALLOWED

HELPERS = [{"name": "helper", "scopes": ["admin:users", "read:users"], "users": ["may"]}]
CLASS = [{"name": "teacher", "scopes": ["admin:users!user=pupil", "self"], "users": ["may"]}]


@pytest.fixture
async def auth(house: House) -> TestServer:
    return await house.auth(config())


async def logged_in(house: House, auth: TestServer, name: str, password: str = GOOD) -> Browser:
    if await of(auth).accounts.find(name) is None:
        await account(auth, name)
    browser = await house.browser(auth)
    assert (await browser.log_in(name, password)).status == 302
    return browser


async def is_logged_in(browser: Browser) -> bool:
    return (await browser.get("/hub/login")).status == 302


async def change(browser: Browser, old: str = GOOD, new: str = OTHER, again: str = "", **more: str) -> Answer:
    form = await browser.get("/hub/password")
    fields = {"old": old, "new": new, "again": again or new, "_xsrf": form.xsrf} | more
    return await browser.post("/hub/password", fields)


# One's own ----------------------------------------------------------------------------------


async def test_a_changed_password_logs_out_everybody_else(house: House, auth: TestServer):
    second = await house.auth(config())
    here, there = await logged_in(house, auth, "ada"), await house.browser(second)
    await there.log_in("ada", GOOD)
    answer = await change(here)
    assert (answer.status, "Your password is changed" in answer.text) == (200, True)
    assert (await is_logged_in(here), await is_logged_in(there)) == (True, False)
    assert (await there.log_in("ada", GOOD)).status == 403
    assert (await there.log_in("ada", OTHER)).status == 302
    reasons = await (await house.pool()).fetch("select data from events where type = 'SessionClosed'")
    assert ["password changed" in row["data"] for row in reasons] == [True]


@pytest.mark.parametrize(
    ("given", "status", "sentence"),
    [
        ({"old": OTHER}, 403, own.WRONG),
        ({"old": ""}, 403, own.WRONG),
        ({"old": "x" * 5000}, 403, own.WRONG),
        ({"new": "short"}, 400, "at least 8"),
        ({"new": "ada-lovelace-1815", "again": OTHER}, 400, "two different"),
        ({"new": "ada12345"}, 400, "among the first"),
        ({"_xsrf": ""}, 403, parts.TOO_OLD),
    ],
)
async def test_a_password_that_is_not_changed(house: House, auth: TestServer, given, status, sentence):
    browser = await logged_in(house, auth, "ada")
    answer = await change(browser, **given)
    assert (answer.status, sentence in answer.text) == (status, True)
    assert (await (await house.browser(auth)).log_in("ada", GOOD)).status == 302


async def test_guesses_at_the_password_until_now_are_slowed(house: House, auth: TestServer):
    browser = await logged_in(house, auth, "ada")
    for _ in range(ALLOWED):
        assert (await change(browser, old=OTHER)).status == 403
    before = of(auth).hashing.verified
    answer = await change(browser, old=GOOD)
    assert (answer.status, TOO_MANY in answer.text, "Retry-After" in answer.headers) == (403, True, True)
    assert of(auth).hashing.verified == before


async def test_two_changes_at_once_are_one(house: House, auth: TestServer):
    browser = await logged_in(house, auth, "ada")
    answers = await asyncio.gather(change(browser, new=OTHER), change(browser, new="candle otter spoon"))
    assert sorted(answer.status for answer in answers) in ([200, 409], [200, 403])


async def test_who_is_not_logged_in_is_sent_to_the_login(house: House, auth: TestServer):
    browser = await house.browser(auth)
    for path in ("password", "accounts"):
        assert (await browser.get(f"/hub/{path}")).location == f"/hub/login?next=%2Fhub%2F{path}"
    form = await browser.get("/hub/login")
    for path in ("password", "accounts"):
        answer = await browser.post(f"/hub/{path}", {"_xsrf": form.xsrf, "do": "invite", "name": "eve", "new": GOOD})
        assert answer.status == 302
        assert answer.location.startswith("/hub/login?next=")
    assert await of(auth).accounts.find("eve") is None


async def test_who_has_no_account_has_nothing_to_change(house: House, auth: TestServer):
    browser = await logged_in(house, auth, "ada")
    await (await house.pool()).execute("delete from accounts")
    answer = await browser.get("/hub/password")
    assert (answer.status, own.NONE_HERE in answer.text) == (404, True)


async def test_who_is_coming_in_by_a_password_that_ends_does_not_get_in(house: House, auth: TestServer):
    """Between the look at the password and the commit of the login."""
    ours, found = of(auth), []

    async def overtaken(name: str, password: str) -> Found | None:
        found.append(await PasswordAuthenticator.check(ours, name, password))
        await ours.accounts.invite("ada", "operator", hours=1)
        return found[0]

    await account(auth, "ada")
    ours.check = overtaken
    browser = await house.browser(auth)
    answer = await browser.log_in("ada", GOOD)
    assert (answer.status, WRONG in answer.text, bool(found[0])) == (403, True, True)
    assert not await is_logged_in(browser)
    assert not await (await house.pool()).fetch("select 1 from sessions")


# Links --------------------------------------------------------------------------------------


async def choose(browser: Browser, link: str, password: str = OTHER) -> Answer:
    form = await browser.get(f"/hub/password?link={link}")
    if form.status != 200:
        return form
    return await browser.post("/hub/password", {"link": link, "new": password, "again": password, "_xsrf": form.xsrf})


async def test_a_link_is_good_once(house: House, auth: TestServer):
    old = await logged_in(house, auth, "ada")
    link = await of(auth).accounts.invite("ada", "operator", hours=1)
    assert not await is_logged_in(old)
    browser = await house.browser(auth)
    assert (await browser.log_in("ada", GOOD)).status == 403
    assert (await choose(browser, link, "short")).status == 400
    answer = await choose(browser, link)
    assert (answer.status, answer.location) == (302, "/hub/login")
    assert (await browser.log_in("ada", OTHER)).status == 302
    again = await choose(await house.browser(auth), link, GOOD)
    assert (again.status, LINK_IS_NO_GOOD in again.text) == (404, True)


async def test_the_operator_makes_the_first_administrator(house: House, auth: TestServer):
    """By `hubbub password`, also if somebody else has asked for that name."""
    dsn, key = house._database.api_dsn, house._vault_key
    stranger = await house.browser(auth)
    await sign_up(stranger, "root")
    link = await admin.password_link(dsn, key, " Root ", hours=1)
    assert (await stranger.log_in("root", GOOD)).status == 403
    browser = await house.browser(auth)
    assert (await choose(browser, link)).status == 302
    assert (await browser.log_in("root", OTHER)).status == 302
    assert (await browser.get("/hub/accounts")).status == 200
    await admin.password_link(dsn, key, "root", hours=1)
    assert not await is_logged_in(browser)
    for name in ("", "a/b", "..", "a\x00b"):
        with pytest.raises(Invalid):
            await admin.password_link(dsn, key, name, hours=1)


async def test_links_that_are_no_good(house: House, auth: TestServer):
    browser = await house.browser(auth)
    late = await of(auth).accounts.invite("ada", "operator", hours=0)
    first = await of(auth).accounts.invite("bob", "operator", hours=1)
    second = await of(auth).accounts.invite("bob", "operator", hours=1)
    eve = await of(auth).accounts.invite("eve", "operator", hours=1)
    mixed = f"{first.partition('.')[0]}.{eve.partition('.')[2]}"
    done = f"{await account(auth, 'done')}."
    for link in (
        late,
        first,
        mixed,
        done,
        f"{done}x",
        f"{eve}x",
        eve.upper(),
        "x",
        ".",
        "a.b.c",
        "%00",
        "%C3%A9.%C3%A9",
        "x" * 5000,
    ):
        answer = await choose(browser, link)
        assert (answer.status, LINK_IS_NO_GOOD in answer.text) == (404, True), link
    assert (await choose(browser, second)).status == 302


async def test_a_link_is_used_by_a_page_of_ours_only(house: House, auth: TestServer):
    browser = await house.browser(auth)
    link = await of(auth).accounts.invite("ada", "operator", hours=1)
    answer = await browser.post("/hub/password", {"link": link, "new": GOOD, "again": GOOD, "_xsrf": "x"})
    assert (answer.status, parts.TOO_OLD in answer.text) == (403, True)
    assert (await choose(browser, link)).status == 302


# Administrators -----------------------------------------------------------------------------


async def do(browser: Browser, what: str, **fields: str) -> Answer:
    page = await browser.get("/hub/accounts")
    return await browser.post("/hub/accounts", {"do": what, "_xsrf": page.xsrf, **fields})


async def id_of(auth: TestServer, name: str) -> str:
    found = await of(auth).accounts.find(name)
    return found.id if found else ""


async def test_an_administrator_approves_and_rejects(house: House, auth: TestServer):
    root, stranger = await logged_in(house, auth, "root"), await house.browser(auth)
    for name in ("ada", "eve"):
        await sign_up(stranger, name)
    page = (await root.get("/hub/accounts")).text
    assert re.findall(r"<h3>(\w+)</h3>", page) == ["ada", "eve", "root"]
    assert "from 203.0.113.7" in page
    assert (await do(root, "approve", account=await id_of(auth, "ada"))).status == 302
    assert (await do(root, "reject", account=await id_of(auth, "eve"))).status == 302
    assert (await stranger.log_in("ada", GOOD)).status == 302
    assert re.findall(r"<h3>(\w+)</h3>", (await root.get("/hub/accounts")).text) == ["root", "ada"]
    actors = await (await house.pool()).fetch(
        "select meta from events where type in ('AccountApproved', 'AccountRemoved')"
    )
    (user,) = await (await house.pool()).fetch("select id from users where name = 'root'")
    assert sum(f"user:{user['id']}" in row["meta"] for row in actors) == 2


async def test_an_administrator_invites_resets_and_removes(house: House, auth: TestServer):
    root, ada = await logged_in(house, auth, "root"), await house.browser(auth)
    for what in ({"do": "invite", "name": " Ada "}, {"do": "reset"}):
        given = {"account": await id_of(auth, "ada")} if what["do"] == "reset" else {"name": what["name"]}
        answer = await do(root, what["do"], **given)
        found = re.search(r'<code id="link">http://[^/]+/hub/password\?link=([^<]+)</code>', answer.text)
        assert found, answer.text
        assert (await choose(ada, found[1], GOOD)).status == 302
        assert (await ada.log_in("ada", GOOD)).status == 302
    assert (await do(root, "remove", account=await id_of(auth, "ada"))).status == 302
    assert not await is_logged_in(ada)
    assert (await (await house.browser(auth)).log_in("ada", GOOD)).status == 403


async def test_whom_one_approves_of_is_said_if_the_hub_knows_them(house: House, auth: TestServer):
    root = await logged_in(house, auth, "root")
    await logged_in(house, auth, "ada")
    await of(auth).accounts.remove(await id_of(auth, "ada"), "operator", "removed")
    await sign_up(await house.browser(auth), "ada")
    assert "The hub has a user of this name already" in (await root.get("/hub/accounts")).text


async def test_what_makes_no_sense_is_refused(house: House, auth: TestServer):
    root = await logged_in(house, auth, "root")
    await sign_up(await house.browser(auth), "ada")
    waiting, me = await id_of(auth, "ada"), await id_of(auth, "root")
    for what, fields, status in (
        ("remove", {"account": waiting}, 409),
        ("reject", {"account": me}, 409),
        ("nonsense", {"account": me}, 409),
        ("approve", {}, 404),
        ("approve", {"account": "no\x00body"}, 404),
        ("invite", {"name": "a/b"}, 400),
        ("invite", {}, 400),
    ):
        assert (await do(root, what, **fields)).status == status, (what, fields)
    assert [(await of(auth).accounts.find(name)).approved for name in ("ada", "root")] == [False, True]
    assert (await root.get("/hub/accounts?after=x&name=%00")).status == 200


async def test_a_reset_of_somebody_who_waits_approves_of_them(house: House, auth: TestServer):
    """Of a name that somebody else may have asked for: their password is not what its owner gets."""
    root, other = await logged_in(house, auth, "root"), await house.browser(auth)
    await sign_up(other, "ada")
    answer = await do(root, "invite", name="ada")
    assert "A link for ada" in answer.text
    assert (await other.log_in("ada", GOOD)).status == 403


async def test_nobody_else_gets_there(house: House, auth: TestServer):
    root, eve = await logged_in(house, auth, "root"), await logged_in(house, auth, "eve")
    await sign_up(await house.browser(auth), "ada")
    page = await eve.get("/hub/accounts")
    assert (page.status, administration.NOT_YOURS in page.text) == (403, True)
    waiting = await id_of(auth, "ada")
    stolen = (await root.get("/hub/accounts")).xsrf
    for sender, token, status in (
        (eve, (await eve.get("/hub/password")).xsrf, 403),
        (eve, stolen, 403),
        (root, "", 403),
        (root, (await eve.get("/hub/password")).xsrf, 403),
    ):
        answer = await sender.post("/hub/accounts", {"do": "approve", "account": waiting, "_xsrf": token})
        assert answer.status == status
    assert not (await of(auth).accounts.find("ada")).approved


async def scoped(house: House, roles: list[dict[str, object]]) -> tuple[TestServer, Browser]:
    """A hub where the user `may` holds one of *roles*, and is logged in."""
    sections = config()
    sections["JupyterHub"]["load_roles"] = roles
    auth = await house.auth(sections)
    browser = await logged_in(house, auth, "may")
    await house.grant(str(roles[0]["name"]), "may")
    return auth, browser


async def test_who_may_administer_people_becomes_nobody_by_it(house: House):
    """The scope admin:users alone lets one make accounts, but not take over those of others."""
    auth, helper = await scoped(house, HELPERS)
    await logged_in(house, auth, "root")
    await logged_in(house, auth, "ada")
    await sign_up(await house.browser(auth), "new")
    for what, name in (("reset", "root"), ("remove", "root"), ("reset", "ada")):
        answer = await do(helper, what, account=await id_of(auth, name))
        assert (answer.status, "may do more than you" in answer.text) == (403, True), (what, name)
    assert (await do(helper, "invite", name="ada")).status == 403
    await of(auth).accounts.remove(await id_of(auth, "root"), "operator", "removed")
    assert (await do(helper, "invite", name="root")).status == 403
    assert (await do(helper, "approve", account=await id_of(auth, "new"))).status == 302
    assert (await do(helper, "invite", name="another")).status == 200
    assert (await (await house.browser(auth)).log_in("ada", GOOD)).status == 302


async def test_a_scope_for_some_people_is_for_them_alone(house: House):
    auth, teacher = await scoped(house, CLASS)
    await sign_up(await house.browser(auth), "pupil")
    await sign_up(await house.browser(auth), "ada")
    await account(auth, "bob")
    assert re.findall(r"<h3>(\w+)</h3>", (await teacher.get("/hub/accounts")).text) == ["pupil"]
    for name in ("ada", "bob"):
        for what in ("approve", "reject", "remove", "reset"):
            assert (await do(teacher, what, account=await id_of(auth, name))).status == 404
    assert (await do(teacher, "invite", name="eve")).status == 404
    assert (await do(teacher, "approve", account=await id_of(auth, "pupil"))).status == 302


async def test_many_accounts_come_in_pages(house: House, auth: TestServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(administration, "PER_PAGE", 2)
    root = await logged_in(house, auth, "root")
    for name in ("ada", "alan", "bob"):
        await of(auth).accounts.invite(name, "operator", hours=1)
    found, path = [], "/hub/accounts"
    while path:
        page = (await root.get(path)).text
        found += re.findall(r"<h3>(\w+)</h3>", page)
        more = re.search(r'<a href="(/hub/accounts\?[^"]+)">More', page)
        path = more[1].replace("&amp;", "&") if more else ""
    assert found == ["root", "ada", "alan", "bob"]
    assert re.findall(r"<h3>(\w+)</h3>", (await root.get("/hub/accounts?name=A")).text) == ["ada", "alan"]


async def test_an_account_whose_password_is_not_chosen_is_shown_as_that(house: House, auth: TestServer):
    root = await logged_in(house, auth, "root")
    await do(root, "invite", name="ada")
    assert (await root.get("/hub/accounts")).text.count("has not chosen a password yet") == 1
