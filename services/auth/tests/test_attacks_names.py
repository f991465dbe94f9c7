"""Names that are spelled differently and look the same, or look different and are spelled the same.

What JupyterHub takes for a name is taken. But a login never makes somebody who looks like somebody else, and nobody
is taken for somebody else because of how they are spelled.
"""

import asyncio

import pytest
from tornado.web import HTTPError

from hubbub.domain.user import CreateUser
from hubbub.eventlog import Context
from hubbub.testing.postgres import Database
from hubbub.transaction import Transaction
from hubbub.views import USERS
from hubbub_auth.attempt import WRONG
from hubbub_auth.authenticators import DummyAuthenticator
from hubbub_auth.login import LOOKS_ALIKE
from hubbub_auth.testing import PASSWORD, Answer, Browser, House, with_

ALIKE = [
    ("ren\u00e9", "rene\u0301"),  # one character, and two
    ("ada", "\uff41\uff44\uff41"),  # full width
    ("ada", "\u0430d\u0430"),  # Cyrillic
    ("cope", "\u0441\u043e\u0440\u0435"),  # nothing but Cyrillic
    ("no", "n\u03bf"),  # Greek
    ("\u0451lka", "\u00eblka"),  # Cyrillic and Latin, with their dots
    ("ada", "ada\ufe0f"),  # a selector of nothing
    ("ada", "a\u034fda"),  # a joiner of nothing
    ("ada", "ada\u3164"),  # a letter that is empty
    ("irem", "\u0130rem"),  # whose small letter has a dot more
    ("fin", "\ufb01n"),  # a ligature
    ("x2", "x\u00b2"),
    ("ada", "\U0001d4ea\U0001d4ed\U0001d4ea"),  # mathematical
    ("ada", "\u24d0\u24d3\u24d0"),  # in circles
    ("\u30ac", "\uff76\uff9e"),  # Katakana, wide and narrow
    ("\uac00", "\u1100\u1161"),  # a syllable, and its letters
]

DIFFERENT = [
    ("ada", "ada."),
    ("ada", ".ada"),
    ("ada", "ada-"),
    ("ada", "a da"),
    ("ada", "\u00e0da"),
    ("ada", "%61da"),
    ("ada", "ada%00"),
    ("ada", "ada@example.org"),
    ("a-b", "a_b"),
    ("strasse", "stra\u00dfe"),
    ("ada", "adaa"),
    ("\u5c71\u7530", "\u5c71\u672c"),
    ("\u0430\u043d\u043d\u0430", "anna"),
]


async def people(house: House) -> list[str]:
    return [row["name"] for row in await (await house.pool()).fetch("select name from users order by number")]


async def log_in(browser: Browser, name: str, password: str = PASSWORD) -> Answer:
    """Whoever was logged in before."""
    await browser.get("/hub/logout")
    return await browser.log_in(name, password)


@pytest.mark.parametrize(("first", "second"), [*ALIKE, *((b, a) for a, b in ALIKE)])
async def test_nobody_is_made_who_looks_like_somebody_else(house: House, browser: Browser, first, second):
    assert (await log_in(browser, first)).status == 302
    answer = await log_in(browser, second)
    assert (answer.status, LOOKS_ALIKE in answer.text) == (403, True)
    assert await people(house) == [first.lower()]
    assert not await (await house.pool()).fetch("select 1 from sessions")


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
async def test_who_looks_different_is_somebody_else(house: House, browser: Browser, first, second):
    for name in (first, second, first):
        assert (await log_in(browser, name)).status == 302
    assert await people(house) == [first, second]


async def test_two_who_look_alike_and_come_at_once_are_one_at_most(house: House):
    browsers = [await house.browser(await house.auth()) for _ in ALIKE[0]]
    for number in range(5):
        names = [f"{name}{number}" for name in ALIKE[0]]
        answers = await asyncio.gather(*(browser.log_in(name) for browser, name in zip(browsers, names, strict=True)))
        assert sorted(answer.status for answer in answers) == [302, 403]
        await asyncio.gather(*(each.get("/hub/logout") for each in browsers))
    assert len(await people(house)) == 5


async def test_whom_an_administrator_has_made_may_look_like_somebody_else(
    house: House, browser: Browser, database: Database
):
    """On purpose, that is: by the API."""
    one, other = ALIKE[0]

    async def body(tx: Transaction) -> None:
        tx.welcome("u2")
        await tx.act(USERS, "u2", CreateUser(user="u2", name=other))

    assert (await log_in(browser, one)).status == 302
    await house.committer(database.api_dsn).submit(body, Context.of("test"))
    assert (await log_in(browser, other)).status == 302
    assert await people(house) == [one, other]


async def test_capital_letters_and_spaces_around_are_no_spelling(house: House, browser: Browser):
    for name in ("ada", "Ada", "ADA", " ada", "ada\u00a0", "\tada\n"):
        assert (await log_in(browser, name)).status == 302
    assert await people(house) == ["ada"]


@pytest.mark.parametrize("name", ["\u212aate", "kat\u212a", "\u212a"])
async def test_a_sign_that_only_becomes_a_letter_is_not_one(house: House, browser: Browser, name):
    """The Kelvin sign in lower case is a `k`: whoever may be called so elsewhere is not kate here."""
    await log_in(browser, "kate")
    answer = await log_in(browser, name)
    assert (answer.status, WRONG in answer.text) == (403, True)
    assert await people(house) == ["kate"]


UNSEEN = [
    "a\u202eda",
    "\u2066ada",
    "ada\u200b",
    "\ufeffada",
    "a\u00adda",
    "ada\u2060",
    "a\u200dda",
    "\u061cada",
    "\u180eada",
]


@pytest.mark.parametrize(
    "name", [*UNSEEN, "ada\u0085x", "a\u2028b", "a\u3000b", "\ue000", "\u0378", ".", "..", "%2e", "%2E%2e"]
)
async def test_a_name_with_something_in_it_that_nobody_sees_is_none(house: House, browser: Browser, name):
    await log_in(browser, "ada")
    answer = await log_in(browser, name)
    assert (answer.status, WRONG in answer.text) == (403, True)
    assert await people(house) == ["ada"]


@pytest.mark.parametrize("spelling", [str.upper, lambda n: n.translate({97: 0xFF41}), lambda n: f" {n}\u00a0"])
async def test_other_spellings_are_no_other_guesses(house: House, spelling):
    """A directory may take all of them for one name (RFC 4518): guesses at it count together."""
    auth = await house.auth()
    for place in range(10):
        guesser = await house.browser(auth, address=f"198.51.100.{place}")
        name = "adalovelace" if place % 2 else spelling("adalovelace")
        assert WRONG in (await guesser.log_in(name, "guess")).text
    away = await house.browser(auth, address="192.0.2.1")
    assert "Retry-After" in (await away.log_in("adalovelace")).headers


class Careless(DummyAuthenticator):
    """Says whatever it was told, after all checks; as a hook of the operator's can."""

    async def complete(self, handler, answer):
        return {"name": handler.get_argument("password"), "admin": False}


@pytest.mark.parametrize("name", ["..", "a/b", "a\u202eb", "x" * 300, " ada", "", "__proto__", "a\nb"])
async def test_a_name_that_cannot_be_one_is_not_made_whoever_says_it(house: House, name):
    browser = await house.browser(config=with_({"authenticator_class": Careless}, DummyAuthenticator={}))
    answer = await log_in(browser, "ada", name)
    assert (answer.status, "Set-Cookie" in answer.headers) == (500, False)
    assert await people(house) == []


class Told(DummyAuthenticator):
    async def authenticate(self, handler, data):
        raise HTTPError(403, data["password"])


async def test_what_an_authenticator_says_is_shown_as_text(house: House):
    browser = await house.browser(config=with_({"authenticator_class": Told}))
    answer = await log_in(browser, "ada", "<img src=x onerror=alert(1)> %s")
    assert (answer.status, "<img src=x" in answer.text) == (403, False)
    assert PASSWORD not in answer.text


@pytest.mark.parametrize(
    ("option", "names"),
    [
        ("whitelist", {"ada"}),
        ("blacklist", {"eve", "Zed"}),
        ("blocked_users", {"EVE", "Zed"}),
        ("allowed_users", {"Ada"}),
    ],
)
async def test_whom_an_old_or_careless_configuration_keeps_out_stays_out(house: House, option, names):
    """Options of former names count; and so do names in capital letters (CVE-2020-26250 was about such a list)."""
    browser = await house.browser(config=with_(DummyAuthenticator={"password": PASSWORD, option: names}))
    for name, expected in (("ada", 302), ("eve", 403), ("zed", 403)):
        assert (await log_in(browser, name)).status == expected, name
