"""The password table: signing up, approval, logging in, and what none of them gives away."""

import asyncio
import os
import signal

import pytest
from aiohttp.test_utils import TestServer
from traitlets.config import Config

from hubbub.config import ConfigError, Options
from hubbub.eventlog import decode, people_in, read_since
from hubbub.testing.eventually import eventually
from hubbub.vault import FORGOTTEN, Vault
from hubbub.verify import rebuild, verify
from hubbub_auth.attempt import WRONG
from hubbub_auth.authenticators import configured
from hubbub_auth.authenticators.passwords import accounts, hashing, parts, rules, signup
from hubbub_auth.authenticators.passwords.testing import GOOD, OTHER, account, config, of, sign_up
from hubbub_auth.keys import HOSTED
from hubbub_auth.testing import Browser, House
from hubbub_auth.throttle import NO_GUESSES


async def rows(house: House, query: str, *args):
    return await (await house.pool()).fetch(query, *args)


async def events(house: House):
    """Every event with its context, opened as far as that is possible."""
    pool, vault = await house.pool(), Vault(house._vault_key)
    records = await read_since(pool, 0)
    await vault.load(pool, people_in(records))
    return [(decode(record, vault), record) for record in records]


@pytest.fixture
async def auth(house: House) -> TestServer:
    return await house.auth(config())


@pytest.fixture
async def browser(house: House, auth: TestServer) -> Browser:
    return await house.browser(auth)


async def test_who_signs_up_waits_until_somebody_approves(house: House, auth: TestServer, browser: Browser):
    answer = await sign_up(browser, "Ada")
    assert (answer.status, "<strong>ada</strong>" in answer.text) == (200, True)
    assert (await browser.log_in("ada", GOOD)).status == 403
    (row,) = await rows(house, "select id, name, approved from accounts")
    assert (row["name"], row["approved"]) == ("ada", False)
    await of(auth).accounts.approve(row["id"], "user:x")
    assert (await browser.log_in("ada", GOOD)).status == 302
    assert await rows(house, "select 1 from users where name = 'ada' and not admin")
    (requested, asked), (_, approved) = [each for each in await events(house) if each[1].kind == "account"]
    assert (requested.name, requested.address, asked.context.actor) == ("ada", "203.0.113.7", f"account:{row['id']}")
    assert approved.context.actor == "user:x"


async def test_nothing_is_told_of_names_that_are_taken(house: House, auth: TestServer, browser: Browser):
    await account(auth, "ada")
    free, taken = await sign_up(browser, "bob", OTHER), await sign_up(browser, "ada", OTHER)
    assert free.status == taken.status == 200
    assert free.text.replace("bob", "ada").split("<main")[1] == taken.text.split("<main")[1]
    assert (await browser.log_in("ada", OTHER)).status == 403
    assert (await browser.log_in("ada", GOOD)).status == 302


async def test_without_approval_an_account_can_be_used_at_once(house: House):
    browser = await house.browser(config=config(require_approval=False))
    await sign_up(browser, "ada")
    assert (await browser.log_in("ada", GOOD)).status == 302


@pytest.mark.parametrize("name", ["root", "Root", "known", "named", "countess"])
async def test_a_name_that_means_somebody_already_waits_whatever_the_configuration_says(house: House, name: str):
    sections = config(require_approval=False, username_map={"ada": "countess"})
    if name == "named":
        sections["Authenticator"]["allowed_users"] = {name}
    auth = await house.auth(sections)
    browser = await house.browser(auth)
    await account(auth, "known", OTHER)
    await browser.log_in("known", OTHER)
    await browser.get("/hub/logout")
    await of(auth).accounts.remove((await of(auth).accounts.find("known")).id, "operator", "removed")
    await sign_up(browser, name)
    assert [row["approved"] for row in await rows(house, "select approved from accounts")] == [False]
    assert (await browser.log_in(name, GOOD)).status == 403


async def test_who_has_an_account_may_log_in_unless_others_are_named(house: House):
    everybody = await house.auth(config())
    some = config()
    some["Authenticator"]["allowed_users"] = {"ada"}
    known = config()
    known["Authenticator"]["allow_existing_users"] = True
    for name in ("ada", "bob"):
        await account(everybody, name)
    for sections, name, status in ((known, "bob", 403), (some, "bob", 403), (some, "ada", 302), (known, "ada", 302)):
        browser = await house.browser(await house.auth(sections))
        assert (await browser.log_in(name, GOOD)).status == status
    assert (await (await house.browser(everybody)).log_in("bob", GOOD)).status == 302


@pytest.mark.parametrize(
    "option",
    [
        {"memory_cost": 1024},
        {"minimum_password_length": 4},
        {"hash_processes": 0},
        {"signup_pattern": "("},
        {"link_hours": 0},
    ],
)
def test_an_option_that_makes_no_sense_is_named(option):
    with pytest.raises(ConfigError) as error:
        configured.make(Options(Config(config(**option))))
    assert next(iter(option)) in str(error.value)


async def test_an_administrator_is_one_only_once_approved(house: House, auth: TestServer, browser: Browser):
    await sign_up(browser, "root")
    assert (await browser.log_in("root", GOOD)).status == 403
    assert not await rows(house, "select 1 from users")
    await of(auth).accounts.approve((await of(auth).accounts.find("root")).id, "operator")
    await browser.log_in("root", GOOD)
    assert await rows(house, "select 1 from users where name = 'root' and admin")


@pytest.mark.parametrize("spelling", ["ADA", " ada ", "ａｄａ", "Ａda", "ᵃda"])
async def test_other_spellings_of_a_name_are_that_account(house: House, auth: TestServer, browser: Browser, spelling):
    await account(auth, "ada")
    await sign_up(browser, spelling, OTHER)
    assert len(await rows(house, "select 1 from accounts")) == 1
    assert (await browser.log_in(spelling, OTHER)).status == 403
    assert (await browser.log_in(spelling, GOOD)).status == 302
    assert [row["name"] for row in await rows(house, "select name from users")] == ["ada"]


BAD_NAMES = [
    "",
    "a/b",
    ".",
    "..",
    "-ada",
    "ada.",
    "a\x00b",
    "a\nb",
    "аda",
    "ada\u200b",
    "a" * 300,
    "℀",
    "%2e%2e",
    "a b",
]


async def test_names_that_nobody_can_have(house: House, browser: Browser):
    for name in BAD_NAMES:
        answer = await sign_up(browser, name)
        assert (answer.status, signup.BAD_NAME in answer.text) == (400, True), name
    assert not await rows(house, "select 1 from accounts")


@pytest.mark.parametrize(
    ("password", "sentence"),
    [
        ("short", "at least 8"),
        ("x" * 1025, "at most 1024"),
        ("rain\x00tent violin", "control characters"),
        ("rain\ttent violin", "control characters"),
        ("rain\ud800tent violin", "control characters"),
        ("password", "among the first"),
        ("Password123!", "among the first"),
        ("jupyterhub", "among the first"),
        ("12345678", "among the first"),
        ("aaaaaaaaaa", "among the first"),
        ("lovelace", "among the first"),
        ("Lovelace1815", "among the first"),
        ("ecalevol", "among the first"),
        ("correct horse battery staple", "among the first"),
    ],
)
def test_passwords_that_nobody_should_have(password: str, sentence: str):
    assert sentence in rules.problem(password, "lovelace", 8)


async def test_what_is_wrong_with_a_password_is_said(house: House, browser: Browser):
    for password, again, sentence in (("short", None, "at least 8"), (GOOD, OTHER, "two different")):
        answer = await sign_up(browser, "ada", password, again)
        assert (answer.status, sentence in answer.text, password in answer.text) == (400, True, False)
    assert not await rows(house, "select 1 from accounts")


STRANGE = ["x" * 20 + "yzäöü😀" * 160, "fünf süße Äpfel", " rain tent ", "8402918374650", "ﷺ" * 8 + "abcd"]


@pytest.mark.parametrize("password", STRANGE)
async def test_passwords_are_taken_as_they_are(browser: Browser, auth: TestServer, password: str):
    await account(auth, "ada", password)
    assert not rules.problem(password, "ada", 8)
    assert (await browser.log_in("ada", password[:-1])).status == 403
    assert (await browser.log_in("ada", password)).status == 302


async def test_what_keyboards_send_in_two_forms_is_one_password(browser: Browser, auth: TestServer):
    await account(auth, "ada", "fu\u0308nf a\u0308pfel")
    assert (await browser.log_in("ada", "f\u00fcnf \u00e4pfel")).status == 302


async def test_whatever_is_wrong_costs_one_verification_and_sounds_the_same(auth: TestServer, browser: Browser):
    await account(auth, "ada")
    await of(auth).accounts.invite("invited", "operator", hours=1)
    await sign_up(browser, "waiting")
    tries = [
        ("ada", OTHER), ("nobody", GOOD), ("waiting", GOOD), ("waiting", OTHER), ("invited", ""), ("a/b", GOOD),
        ("ada", "x" * 4000), ("ada", ""), ("root", GOOD),
    ]  # fmt: skip
    said = set()
    for name, password in tries:
        before = of(auth).hashing.verified
        answer = await browser.log_in(name, password)
        assert (answer.status, WRONG in answer.text, of(auth).hashing.verified - before) == (403, True, 1), name
        said.add(answer.text.split("<main")[1].replace(f'value="{name}"', "").split("<form")[0])
    assert len(said) == 1


async def test_beyond_its_queue_people_are_asked_to_come_back(house: House):
    auth = await house.auth(config(time_cost=30, hash_queue=1))
    await account(auth, "ada")
    browsers = [await house.browser(auth, address=f"203.0.113.{n}") for n in range(6)]
    answers = await asyncio.gather(*(browser.log_in("ada", GOOD) for browser in browsers))
    came, later = ([each for each in answers if each.status == status] for status in (302, 429))
    assert len(came) + len(later) == len(answers)
    assert came
    assert later
    assert {answer.headers["Retry-After"] for answer in later} == {"1"}
    assert all(hashing.BUSY in answer.text for answer in later)
    guesses = "select 1 from login_attempts where why <> all($1::text[])"
    assert not await rows(house, guesses, [str(each) for each in NO_GUESSES])
    assert (await browsers[answers.index(later[0])].log_in("ada", GOOD)).status == 302


def processes(auth: TestServer) -> list[int]:
    pool = of(auth).hashing._pool
    return list(pool._processes) if pool else []


async def test_processes_that_die_are_replaced(auth: TestServer, browser: Browser):
    await account(auth, "ada")
    (first,) = processes(auth)
    os.kill(first, signal.SIGKILL)
    assert (await browser.log_in("ada", GOOD)).status == 302
    assert first not in processes(auth)


async def test_who_logs_in_while_a_process_dies_is_let_in_all_the_same(house: House):
    auth = await house.auth(config(time_cost=40))
    browser = await house.browser(auth)
    await account(auth, "ada")
    logging_in = asyncio.ensure_future(browser.log_in("ada", GOOD))
    await eventually(lambda: of(auth).hashing._under_way == 1)
    os.kill(processes(auth)[0], signal.SIGKILL)
    assert (await logging_in).status == 302


async def test_processes_come_after_everything_else(auth: TestServer):
    (process,) = processes(auth)
    assert os.getpriority(os.PRIO_PROCESS, process) == os.getpriority(os.PRIO_PROCESS, 0) + 10


async def test_what_was_hashed_at_another_cost_is_hashed_anew_at_the_login(house: House, auth: TestServer):
    await account(auth, "ada")
    dearer = await house.auth(config(time_cost=2))
    assert "t=1," in (await of(auth).accounts.find("ada")).encoded
    assert (await (await house.browser(dearer)).log_in("ada", OTHER)).status == 403
    assert "t=1," in (await of(auth).accounts.find("ada")).encoded
    for each in (dearer, auth):
        assert (await (await house.browser(each)).log_in("ada", GOOD)).status == 302
        assert f"t={of(each).time_cost}," in (await of(dearer).accounts.find("ada")).encoded


async def test_what_is_hashed_anew_does_not_undo_a_change_meanwhile(auth: TestServer):
    await account(auth, "ada")
    ours, old = of(auth), await of(auth).accounts.find("ada")
    new = await ours.hashing.hash(rules.encoded(OTHER))
    assert await ours.accounts.change(old, new, user="u", session="", address="")
    await ours.accounts.renew(old, old.encoded)
    assert not await ours.accounts.change(old, old.encoded, user="u", session="", address="")
    assert (await ours.accounts.find("ada")).encoded == new


async def test_sign_ups_of_an_address_are_slowed_on_every_auth(house: House):
    first, second = [await house.auth(config(signups_per_hour=2)) for _ in range(2)]
    one, other = await house.browser(first, address="2001:db8::1"), await house.browser(second, address="2001:db8::2")
    assert [(await sign_up(one, "ada")).status, (await sign_up(other, "bob")).status] == [200, 200]
    late = await sign_up(one, "eve")
    assert (late.status, late.headers["Retry-After"]) == (429, signup.HOUR)
    assert (await sign_up(await house.browser(first, address="203.0.113.9"), "eve")).status == 200
    assert len(await rows(house, "select 1 from accounts")) == 3


async def test_only_so_many_wait(house: House, browser: Browser, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(accounts, "MOST_WAITING", 1)
    assert [(await sign_up(browser, name)).status for name in ("ada", "bob", "ada")] == [200, 503, 503]


async def test_a_sign_up_from_elsewhere_is_none(house: House, browser: Browser):
    form = await browser.get("/hub/signup")
    fields = {"name": "ada", "new": GOOD, "again": GOOD}
    stranger = await house.browser(await house.auth(config()), address="198.51.100.1")
    for sender, token in ((browser, ""), (browser, "x"), (stranger, form.xsrf)):
        answer = await sender.post("/hub/signup", {**fields, "_xsrf": token})
        assert (answer.status, parts.TOO_OLD in answer.text) == (403, True)
    assert not await rows(house, "select 1 from accounts")


async def test_without_sign_up_there_is_no_such_page(house: House):
    browser = await house.browser(config=config(enable_signup=False))
    assert (await browser.get("/hub/signup")).status == 404
    assert "/hub/signup" not in (await browser.get("/hub/login")).text


async def test_the_login_page_leads_to_the_sign_up(browser: Browser):
    assert '<a href="/hub/signup">Sign up</a>' in (await browser.get("/hub/login")).text


async def test_the_log_holds_no_password_no_hash_and_no_name_in_clear(house: House, auth: TestServer, browser: Browser):
    await sign_up(browser, "lovelace")
    await account(auth, "babbage")
    await browser.log_in("babbage", GOOD)
    everything = await rows(house, "select stream || type || data || meta as text from events")
    said = "\n".join(row["text"] for row in everything)
    for secret in (GOOD, "argon2", "lovelace", "babbage", "203.0.113.7"):
        assert secret not in said
    kept = await rows(house, "select value from vault where key like 'password:%'")
    assert len(kept) == 2
    assert not any(b"argon2" in row["value"] for row in kept)


async def test_of_a_removed_account_nothing_is_left_but_that_there_was_one(house: House, auth: TestServer):
    id = await account(auth, "ada")
    await of(auth).accounts.remove(id, "user:x", "removed")
    assert not await rows(house, "select 1 from vault")
    assert not await rows(house, "select 1 from accounts")
    names = [event.name for event, record in await events(house) if record.type == "AccountMade"]
    assert names == [FORGOTTEN]
    await account(auth, "ada", OTHER)


async def test_the_log_replays(house: House, auth: TestServer, browser: Browser):
    await sign_up(browser, "ada")
    await of(auth).accounts.remove(await account(auth, "bob"), "operator", "removed")
    await account(auth, "eve")
    dsn, key = house._database.owner_dsn, house._vault_key
    assert await verify(dsn, key) == []
    assert await rebuild(dsn, key) == []
    assert (await browser.log_in("eve", GOOD)).status == 302


async def test_a_user_who_is_deleted_has_no_account_any_more(house: House, auth: TestServer, browser: Browser):
    await account(auth, "ada")
    assert auth.app[HOSTED].policy.greets
    answer = await browser.post("/hub/internal/users", b'{"name":"ada","gone":true}')
    assert answer.status == 200
    assert (await browser.log_in("ada", GOOD)).status == 403
    assert not await rows(house, "select 1 from accounts")


async def test_a_hook_of_the_operators_changes_nothing(house: House):
    """Then the authenticator lives on the floor, in another thread."""

    def hook(authenticator, handler, model):
        return model if model["name"] != "eve" else None

    sections = config()
    sections["Authenticator"]["post_auth_hook"] = hook
    auth = await house.auth(sections)
    browser = await house.browser(auth)
    for name in ("ada", "eve"):
        await account(auth, name)
    assert (await browser.log_in("ada", OTHER)).status == 403
    assert (await browser.log_in("eve", GOOD)).status == 403
    assert (await browser.log_in("ada", GOOD)).status == 302
