"""The OAuth2 provider, as a service uses it."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import pytest_asyncio
from targets import Answer, Browser, Target

pytestmark = pytest.mark.asyncio(loop_scope="session")

CALLBACK = "/services/web/oauth_callback"
ASKED = {"client_id": "service-web", "response_type": "code", "redirect_uri": CALLBACK, "state": "a state"}
SECRET = {"client_id": "service-web", "client_secret": "token-of-the-web-service", "grant_type": "authorization_code"}
VERIFIER = "a-verifier-of-at-least-forty-three-characters-x"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def visitor(target: Target) -> AsyncIterator[Browser]:
    """Somebody who may use the service: the administrator."""
    async with await target.login("root") as browser:
        yield browser


async def authorize(browser: Browser, **changed: Any) -> Answer:
    asked = {key: value for key, value in {**ASKED, **changed}.items() if value is not None}
    return await browser.ask("GET", f"hub/api/oauth2/authorize?{urlencode(asked)}")


def given(answer: Answer) -> dict[str, str]:
    """What the callback is told."""
    assert answer.status == 302, answer
    location = urlsplit(answer.headers["Location"])
    assert location.path == CALLBACK, location
    return {key: values[0] for key, values in parse_qs(location.query).items()}


async def exchange(target: Target, **changed: Any) -> tuple[int, Any]:
    form = {key: value for key, value in {**SECRET, "redirect_uri": CALLBACK, **changed}.items() if value is not None}
    answer = await target.ask("POST", "hub/api/oauth2/token", data=form)
    return answer.status, json.loads(answer.text)


async def test_a_code_becomes_a_token_of_its_user(target: Target, visitor: Browser) -> None:
    told = given(await authorize(visitor, code_challenge=CHALLENGE, code_challenge_method="S256"))
    assert set(told) == {"code", "state"} and told["state"] == "a state"
    assert len(told["code"]) == 30
    status, token = await exchange(target, code=told["code"], code_verifier=VERIFIER)
    assert (status, token["token_type"], token["expires_in"]) == (200, "Bearer", 1209600)
    assert "access:services!service=web" in token["scope"].split()
    mine = await target.done("GET", "/user", token=token["access_token"])
    assert (mine["name"], mine["session_id"]) == ("root", visitor.cookie("jupyterhub-session-id", ""))
    assert set(mine["scopes"]) >= {"access:services!service=web", "read:users!user=root", "read:users:groups!user=root"}
    assert not {"admin:users", "servers!user=root"} & set(mine["scopes"])


async def test_a_code_works_once(target: Target, visitor: Browser) -> None:
    code = given(await authorize(visitor))["code"]
    assert (await exchange(target, code=code))[0] == 200
    status, error = await exchange(target, code=code)
    assert (status, error["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("where", ["authorize", "exchange", "both"])
async def test_the_callback_may_be_left_out(target: Target, visitor: Browser, where: str) -> None:
    code = given(await authorize(visitor, **({} if where == "exchange" else {"redirect_uri": None})))["code"]
    status, _ = await exchange(target, code=code, **({} if where == "authorize" else {"redirect_uri": None}))
    assert status == 200


@pytest.mark.parametrize(
    ("changed", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_secret": None}, 401, "invalid_client"),
        ({"client_id": "service-unknown"}, 401, "invalid_client"),
        ({"client_id": "service-plain"}, 401, "invalid_client"),
        ({"redirect_uri": "/services/web/elsewhere"}, 400, "invalid_request"),
        ({"code": "unknown"}, 400, "invalid_grant"),
        ({"code": None}, 400, "invalid_request"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": None}, 400, "unsupported_grant_type"),
        ({"code_verifier": "w" * 43}, 400, "invalid_grant"),
        ({"code_verifier": None}, 400, "invalid_request"),
    ],
)
async def test_a_bad_exchange(
    target: Target, visitor: Browser, changed: dict[str, Any], status: int, error: str
) -> None:
    code = given(await authorize(visitor, code_challenge=CHALLENGE, code_challenge_method="S256"))["code"]
    answer, body = await exchange(target, **{"code": code, "code_verifier": VERIFIER, **changed})
    assert (answer, body["error"]) == (status, error), body


async def test_a_client_says_who_it_is_in_the_body(target: Target, visitor: Browser) -> None:
    form = {"grant_type": "authorization_code", "code": given(await authorize(visitor))["code"]}
    basic = base64.b64encode(b"service-web:token-of-the-web-service").decode()
    answer = await target.ask("POST", "hub/api/oauth2/token", data=form, headers={"Authorization": f"Basic {basic}"})
    assert (answer.status, json.loads(answer.text)["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    "changed",
    [{"client_id": "service-unknown"}, {"client_id": None}, {"redirect_uri": "/services/web/elsewhere"}],
)
async def test_what_cannot_be_sent_back_is_shown(visitor: Browser, changed: dict[str, Any]) -> None:
    answer = await authorize(visitor, **changed)
    assert answer.status == 400 and answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"scope": "nonsense"}, "invalid_scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
    ],
)
async def test_other_errors_are_told_to_the_callback(visitor: Browser, changed: dict[str, Any], error: str) -> None:
    told = given(await authorize(visitor, **changed))
    assert (told["error"], told["state"]) == (error, "a state")


async def test_a_token_has_no_more_than_was_asked_for(target: Target, visitor: Browser) -> None:
    code = given(await authorize(visitor, scope="custom:lab:read"))["code"]
    _, token = await exchange(target, code=code)
    mine = set((await target.done("GET", "/user", token=token["access_token"]))["scopes"])
    assert "access:services!service=web" in mine and "read:users!user=root" not in mine


async def test_who_may_not_use_the_service_is_told_so(target: Target) -> None:
    async with await target.login("olga") as browser:
        answer = await authorize(browser)
        assert answer.status == 403 and answer.headers["Content-Type"].startswith("text/html")


async def test_logging_out_ends_the_tokens_of_the_session(target: Target) -> None:
    async with await target.login("root") as browser, await target.login("root") as other:
        tokens = []
        for each in (browser, other):
            code = given(await authorize(each))["code"]
            tokens.append((await exchange(target, code=code))[1]["access_token"])
        assert (await browser.ask("GET", "hub/logout")).status in (200, 302)
        assert [(await target.api("GET", "/user", token=token)).status for token in tokens] == [403, 200]


async def test_deleting_one_deletes_all_of_the_client(target: Target, visitor: Browser) -> None:
    made = [(await exchange(target, code=given(await authorize(visitor))["code"]))[1] for _ in range(2)]
    first = await target.done("GET", "/user", token=made[0]["access_token"])
    assert (await target.api("DELETE", f"/users/root/tokens/{first['token_id']}")).status == 204
    assert [(await target.api("GET", "/user", token=token["access_token"])).status for token in made] == [403, 403]
