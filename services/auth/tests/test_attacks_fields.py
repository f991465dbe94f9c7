"""What else than a name and a password may stand in the fields of the login form, and how much of it."""

import asyncio
from urllib.parse import urlencode

import pytest

from hubbub_auth.attempt import WRONG
from hubbub_auth.authenticators import dummy, shared_password
from hubbub_auth.testing import PASSWORD, Answer, Browser, House, with_

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=B"}


async def people(house: House) -> list[str]:
    return [row["name"] for row in await (await house.pool()).fetch("select name from users order by name")]


async def token(browser: Browser) -> str:
    return (await browser.get("/hub/login")).xsrf


STRANGE = {
    "zero byte": "a\0b",
    "only a zero byte": "\0",
    "newline": "a\r\nX-Injected: 1",
    "escape": "\x1b[2J",
    "bell": "\x07",
    "delete": "\x7f",
    "next line": "a\x85b",
    "right to left": "a\u202eb",
    "nothing to see": "\u200b\u2060\ufeff",
    "no character": "\ufffe\uffff",
    "private": "\ue000",
    "beyond the plane": "\U0010ffff",
    "markup": "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>",
    "template": "{{ 7*7 }}{% raw %}${7*7}%(x)s%s",
    "many words": " ".join("a" * 3000),
    "long": "x" * 5000,
    "very long": "\u20ac" * 20_000,
}


@pytest.mark.parametrize("field", ["username", "password", "otp", "_xsrf", "next", "anything", "\0<b>"])
async def test_no_field_takes_whatever_it_is_given(house: House, field):
    """Refused, or what it says; never a fault, never markup, and nobody is made whom the log could not show."""
    browser = await house.browser(config=with_(Authenticator={"request_otp": True}))
    for what, value in STRANGE.items():
        fields = {"username": "ada", "password": PASSWORD, "otp": "1", "_xsrf": await token(browser), field: value}
        answer = await browser.post("/hub/login", urlencode(fields).encode(), headers=FORM)
        assert answer.status in (302, 403, 413), (what, answer.status)
        assert "X-Injected" not in answer.headers, what
        assert "<script>alert" not in answer.text, what
        assert "<img src=x" not in answer.text, what
        await browser.get("/hub/logout")
    assert set(await people(house)) <= {"ada", STRANGE["beyond the plane"], STRANGE["markup"], STRANGE["template"]}
    assert "ada" in await people(house) or field in ("username", "password", "_xsrf")


@pytest.mark.parametrize("value", ["x\0y", "x" * 4097], ids=["a zero byte", "too long"])
async def test_a_password_that_nobody_has_is_not_looked_at(house: House, browser: Browser, value):
    """What is written in C reads a password as far as its first zero byte."""
    assert WRONG in (await browser.log_in("ada", value)).text
    assert not await (await house.pool()).fetch("select 1 from login_attempts")


@pytest.mark.parametrize("many", [1001, 10_000])
async def test_a_form_has_no_thousand_fields(house: House, browser: Browser, many):
    fields = {"username": "ada", "password": PASSWORD, "_xsrf": await token(browser)}
    body = "&".join([urlencode(fields), *(f"{n:x}" for n in range(many))])
    assert (await browser.post("/hub/login", body.encode(), headers=FORM)).status == 413
    assert await people(house) == []


@pytest.mark.parametrize("kind", [*(FORM | MULTIPART).values(), FORM["Content-Type"], "text/plain", "application/json"])
async def test_a_body_of_megabytes_is_not_read(browser: Browser, kind):
    await browser.get("/hub/login")
    answer = await browser.post("/hub/login", b"x" * 5_000_000, headers={"Content-Type": kind})
    assert answer.status in (400, 403, 413), answer.status


async def test_of_fields_that_come_twice_the_last_one_counts(house: House, browser: Browser):
    """As everywhere else, so that nobody in between looks at another name than the hub."""
    xsrf = await token(browser)
    twice = [("username", "bob"), ("password", "wrong"), ("username", "ada"), ("password", PASSWORD)]
    assert (await browser.post("/hub/login", [*twice, ("_xsrf", xsrf)])).status == 302
    assert await people(house) == ["ada"]


async def test_a_token_beside_a_wrong_one_is_no_token(house: House, browser: Browser):
    xsrf = await token(browser)
    fields = [("username", "ada"), ("password", PASSWORD), ("_xsrf", "wrong"), ("_xsrf", xsrf)]
    assert (await browser.post("/hub/login", fields)).status == 403
    assert await people(house) == []


def part(name: str, value: bytes, more: str = "") -> bytes:
    return f'--B\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


async def send(browser: Browser, *parts: bytes) -> Answer:
    return await browser.post("/hub/login", b"".join([*parts, b"--B--\r\n"]), headers=MULTIPART)


async def test_a_form_in_parts_is_a_form_too(house: House, browser: Browser):
    xsrf = part("_xsrf", (await token(browser)).encode())
    password = part("password", PASSWORD.encode())
    assert (await send(browser, xsrf, password, part("username", b"ada"))).status == 302
    xsrf = part("_xsrf", browser.cookies["_xsrf"].encode())
    as_file = part("username", b"bob", '; filename="bob"')
    assert (await send(browser, xsrf, password, as_file)).status == 403
    assert await people(house) == ["ada"]


SLOW = [
    "punycode",  # takes minutes for as much as an api reads
    "idna",
    "unicode_escape",  # gives halves of surrogate pairs
    "raw_unicode_escape",
    "utf-7",
    "utf-16",
    "rot13",
    "zip",
    "none",
    "x" * 500,
]


@pytest.mark.parametrize("charset", SLOW)
async def test_a_charset_that_no_browser_writes_is_not_read(house: House, browser: Browser, charset):
    xsrf = await token(browser)
    body = urlencode({"username": "ada", "password": PASSWORD, "_xsrf": xsrf}).encode()
    kind = {"Content-Type": f"{FORM['Content-Type']}; charset={charset}"}
    typed = f"; x=y\r\nContent-Type: text/plain; charset={charset}"
    fields = part("_xsrf", xsrf.encode()), part("password", PASSWORD.encode())
    for answer in (
        await browser.post("/hub/login", body, headers=kind),
        await send(browser, *fields, part("username", b"ada", typed)),
        await send(browser, part("_charset_", charset.encode()), *fields, part("username", b"ada")),
    ):
        assert answer.status == 400
    assert await people(house) == []


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", "us-ascii", "ISO-8859-1", "windows-1252"])
async def test_a_charset_that_browsers_have_written_is(house: House, browser: Browser, charset):
    body = urlencode({"username": "ada", "password": PASSWORD, "_xsrf": await token(browser)}).encode()
    kind = {"Content-Type": f"{FORM['Content-Type']}; charset={charset}"}
    assert (await browser.post("/hub/login", body, headers=kind)).status == 302


BROKEN = {
    "no name": b"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--\r\n",
    "no disposition": b"--B\r\n\r\nx\r\n--B--\r\n",
    "within another": b"--B\r\nContent-Type: multipart/mixed; boundary=C\r\n\r\n--C\r\n\r\nx\r\n--C--\r\n--B--\r\n",
    "no end": b'--B\r\nContent-Disposition: form-data; name="username"\r\n\r\nada',
    "no beginning": b"ada",
    "coded": b'--B\r\nContent-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: x\r\n\r\nx\r\n--B--\r\n',
    "packed": b'--B\r\nContent-Disposition: form-data; name="a"\r\nContent-Encoding: x\r\n\r\nx\r\n--B--\r\n',
    "headers": b"--B\r\n" + b"X: y\r\n" * 500 + b"\r\nx\r\n--B--\r\n",
    "a long header": b"--B\r\nX: " + b"y" * 60_000 + b"\r\n\r\nx\r\n--B--\r\n",
}


@pytest.mark.parametrize("what", BROKEN)
async def test_broken_parts_are_refused_without_a_fault(browser: Browser, what):
    await browser.get("/hub/login")
    answer = await asyncio.wait_for(browser.post("/hub/login", BROKEN[what], headers=MULTIPART), 10)
    assert answer.status in (400, 403, 413), answer.status


async def test_a_boundary_that_is_none_is_refused_without_a_fault(browser: Browser):
    await browser.get("/hub/login")
    for kind in ("multipart/form-data", "multipart/form-data; boundary=", f"multipart/form-data; boundary={'x' * 80}"):
        answer = await browser.post("/hub/login", b"--\r\n", headers={"Content-Type": kind})
        assert answer.status in (400, 403), (kind, answer.status)


SHARED = with_(
    {"authenticator_class": "shared-password"},
    SharedPasswordAuthenticator={
        "user_password": PASSWORD,
        "admin_password": "p" * 40,
        "allowed_users": {"known", "root"},
    },
)
NAMED = with_(DummyAuthenticator={"password": PASSWORD, "allowed_users": {"known"}, "blocked_users": {"blocked"}})


@pytest.mark.parametrize(("module", "config"), [(dummy, NAMED), (shared_password, SHARED)], ids=["dummy", "shared"])
async def test_whoever_is_unknown_costs_what_a_wrong_password_does(house: House, monkeypatch, module, config):
    """One comparison, and the same page: nobody learns from either who there is."""
    compared = []
    real = module.compare_digest
    monkeypatch.setattr(module, "compare_digest", lambda *both: compared.append(both) or real(*both))
    browser = await house.browser(config=config)
    assert (await browser.log_in("known")).status == 302
    await browser.get("/hub/logout")
    pages = set()
    for name, password in (
        ("known", "wrong"),
        ("unknown", "wrong"),
        ("unknown", PASSWORD),
        ("root", "wrong"),
        ("blocked", PASSWORD),
        ("blocked", "wrong"),
    ):
        compared.clear()
        answer = await browser.log_in(name, password)
        assert (answer.status, len(compared)) == (403, 1), (name, password)
        pages.add(answer.text.replace(f'value="{name}"', "").replace(answer.xsrf, ""))
    assert len(pages) == 1
