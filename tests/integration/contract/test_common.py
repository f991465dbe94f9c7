"""What holds for every endpoint: tokens, error bodies, headers, methods, CORS."""

import re
from typing import Any

import pytest
from targets import TOKEN, Target

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("form", ["token {}", "Bearer {}", "bearer {}", "TOKEN {}", "token   {}", "bEaReR\t{}"])
async def test_a_token_is_taken_in_this_form(target: Target, form: str) -> None:
    answer = await target.ask("GET", "hub/api/user", headers={"Authorization": form.format(TOKEN)})
    assert answer.status == 200, answer


@pytest.mark.parametrize("form", ["Basic {}", "{}", "token", "token {} more", "token{}", "oken {}"])
async def test_a_token_is_not_taken_in_that_form(target: Target, form: str) -> None:
    answer = await target.ask("GET", "hub/api/user", headers={"Authorization": form.format(TOKEN)})
    assert (answer.status, answer.message) == (403, None)


@pytest.mark.parametrize("path", ["user?token={}", "users?token={}", "user?access_token={}"])
async def test_a_token_in_the_address_is_not_taken(target: Target, path: str) -> None:
    assert (await target.ask("GET", "hub/api/" + path.format(TOKEN))).status == 403


@pytest.mark.parametrize(
    "path", ["/nowhere", "/users/", "/groups/", "/users/a/b/c", "/oauth2/nothing", "/users/a/servers", "/info/"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_an_unknown_address_is_a_404_without_words(target: Target, method: str, path: str) -> None:
    answer = await target.api(method, path)
    assert (answer.status, answer.message) == (404, None)
    assert (await target.api(method, path, token=None)).status == 404


@pytest.mark.parametrize(
    "call",
    [
        "PUT /users",
        "DELETE /users",
        "PATCH /users",
        "PUT /users/{}",
        "POST /user",
        "GET /shutdown",
        "POST /info",
        "DELETE /proxy",
        "PUT /groups",
        "PATCH /groups/{}",
        "GET /groups/{}/users",
        "POST /groups/{}/properties",
        "PUT /services/{}",
        "POST /services",
        "PUT /shares/a/b",
        "POST /users/{}/shared",
        "PATCH /users/{}/tokens/a1",
        "GET /users/{}/activity",
        "HEAD /users",
        "HEAD /user",
        "HEAD /info",
    ],
)
async def test_a_method_that_an_address_has_not_is_a_405_without_words(target: Target, call: str) -> None:
    method, path = call.split()
    answer = await target.api(method, path.format("root"))
    assert answer.status == 405
    if method != "HEAD":
        assert answer.message is None


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/shares/root", "/share-codes/root"])
async def test_all_shares_of_a_user_can_only_be_read(target: Target, method: str, path: str) -> None:
    answer = await target.api(method, path, {})
    assert answer.status == 405
    assert answer.message is None


@pytest.mark.parametrize(
    ("call", "content"),
    [
        ("POST /users", b"{oops"),
        ("POST /users/{}/server", b"nonsense"),
        ("POST /users/{}/tokens", b"["),
        ("PATCH /users/{}", b"{'a': 1}"),
        ("POST /users/{}/activity", b"\xff\xfe"),
        ("POST /groups", b"{,}"),
        ("PUT /groups/crew/properties", b"{"),
        ("POST /services/new-one", b"{"),
        ("POST /shutdown", b"}"),
    ],
)
async def test_malformed_json_is_a_400(target: Target, call: str, content: bytes) -> None:
    method, path = call.split()
    answer = await target.api(method, path.format("root"), data=content)
    assert (answer.status, answer.message) == (400, "Invalid JSON in body of request")


@pytest.mark.parametrize(
    ("method", "path", "token", "status"),
    [
        ("GET", "/", None, 200),
        ("GET", "/user", TOKEN, 200),
        ("GET", "/users", TOKEN, 200),
        ("GET", "/users", None, 403),
        ("GET", "/users/nobody-at-all", TOKEN, 404),
        ("PUT", "/users", TOKEN, 405),
        ("GET", "/nowhere", None, 404),
        ("POST", "/users", TOKEN, 400),
    ],
)
async def test_headers_of_every_answer(target: Target, method: str, path: str, token: Any, status: int) -> None:
    answer = await target.api(method, path, token=token)
    assert answer.status == status
    assert answer.headers["X-JupyterHub-Version"] == "6.1.1"
    assert answer.headers["Access-Control-Allow-Headers"] == "accept, content-type, authorization"
    assert answer.headers["Content-Security-Policy"] == (
        "frame-ancestors 'none'; report-uri /hub/security/csp-report; default-src 'none'"
    )
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("path", ["hub/api", "hub/api/"])
async def test_the_root_tells_the_version_to_anybody_from_anywhere(target: Target, path: str) -> None:
    answer = await target.ask("GET", path, headers={"Origin": "https://elsewhere.example"})
    assert (answer.status, answer.json) == (200, {"version": "6.1.1"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("path", ["/user", "/users", "/info", "/nowhere"])
async def test_nothing_else_is_open_to_other_origins(target: Target, path: str) -> None:
    answer = await target.api("GET", path, headers={"Origin": "https://elsewhere.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/user", "/users", "/users/x/server", "/groups/y", "/shutdown", "/proxy"])
async def test_options_is_answered_to_anybody(target: Target, path: str) -> None:
    answer = await target.api("OPTIONS", path, token=None)
    assert (answer.status, answer.text) == (200, "")
    assert answer.headers["Access-Control-Allow-Headers"] == "accept, content-type, authorization"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["hub/health", "hub/api/health"])
async def test_health_is_empty_and_open(target: Target, method: str, path: str) -> None:
    answer = await target.ask(method, path)
    assert (answer.status, answer.text) == (200, "")
    assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("path", ["hub/metrics", "hub/api/metrics"])
async def test_metrics_need_their_scope(target: Target, path: str) -> None:
    token = await target.token("read:metrics")
    answer = await target.ask("GET", path, headers={"Authorization": f"token {token}"})
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=1.0.0")
    assert re.search(r"^jupyterhub_total_users ", answer.text, re.MULTILINE)
    for less in (None, await target.token("read:hub")):
        refused = await target.ask("GET", path, headers={"Authorization": f"token {less}"} if less else {})
        assert refused.status == 403 and refused.headers["Content-Type"].startswith("text/html")


async def test_timestamps_are_utc_with_a_z(target: Target) -> None:
    user = await target.done("POST", f"/users/{target.fresh('user')}")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", user["created"])
    assert user["last_activity"] is None


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("2031-05-06T07:08:09Z", None),
        ("2021-05-06T07:08:09Z", "2021-05-06T07:08:09Z"),
        ("2021-05-06T07:08:09.120000Z", "2021-05-06T07:08:09.120000Z"),
        ("2021-05-06T07:08:09", "2021-05-06T07:08:09Z"),
        ("2021-05-06T07:08:09+02:00", "2021-05-06T05:08:09Z"),
        ("6 May 2021 07:08", "2021-05-06T07:08:00Z"),
    ],
)
async def test_timestamps_are_read_in_many_forms(target: Target, sent: str, stored: str | None) -> None:
    name = target.fresh("user")
    await target.done("POST", f"/users/{name}")
    answer = await target.api("POST", f"/users/{name}/activity", {"last_activity": sent})
    assert answer.status == (200 if stored else 400), answer
    assert (await target.done("GET", f"/users/{name}"))["last_activity"] == stored


async def test_who_has_not_logged_in_is_sent_to_the_login(target: Target) -> None:
    answer = await target.ask("GET", "hub/api/oauth2/authorize?client_id=service-web&response_type=code")
    assert answer.status == 302
    assert answer.headers["Location"].startswith("/hub/login?next=%2Fhub%2Fapi%2Foauth2%2Fauthorize%3F")
