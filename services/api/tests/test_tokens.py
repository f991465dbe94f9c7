"""API tokens: who may make which, how many, for how long, and what is shown of them."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from traitlets.config import Config

from hubbub.config import ConfigError, Options
from hubbub.domain.server_messages import CreateServer
from hubbub.domain.token import IssueToken
from hubbub.eventlog import Context
from hubbub.tokens import token_hash
from hubbub.views import SERVERS, TOKENS
from hubbub_api.tokens import LONGEST_NOTE, MOST_SCOPES

BY_TEST = Context.of("test")
CHOSEN = "a-token-that-ada-has-chosen"
SERVICES = [
    {
        "name": "board",
        "api_token": "secret-of-the-board",
        "oauth_client_id": "service-the-board",
        "url": "http://[::1]:1",
    }
]


@pytest.fixture
def options() -> Options:
    hub = {"api_tokens": {CHOSEN: "Ada"}, "services": SERVICES, "token_expires_in_max_seconds": 0}
    return Options(Config({"JupyterHub": hub, "Hubbub": {"token_limit_per_user": 10}}))


async def ask(house, method: str, path: str, token: str, body: Any = None) -> tuple[int, Any]:
    answer = await house.ask(f"/hub/api{path}", method=method, token=token, json=body)
    return answer.status, await answer.json() if answer.content_type == "application/json" else None


async def asked(house, token: str, **body: Any) -> tuple[int, Any]:
    return await ask(house, "POST", "/users/ada/tokens", token, body)


@pytest.fixture
async def ada(house) -> str:
    """Her token, for all that she may do."""
    await house.person("ada")
    return await house.token("ada")


async def test_a_token_is_shown_once(house, ada):
    status, made = await asked(house, ada, note="for the \0 cron", expires_in=60, scopes=["list:users"])
    assert status == 400
    status, made = await asked(house, ada, note="for the \0 cron", expires_in=60, scopes=["read:users!user"])
    assert (status, made["user"], made["note"], made["oauth_client"]) == (201, "ada", "for the \0 cron", "JupyterHub")
    assert made["expires_at"] > made["created"]
    assert (await ask(house, "GET", "/user", made["token"]))[0] == 200
    secret = made.pop("token")
    status, shown = await ask(house, "GET", f"/users/ada/tokens/{made['id']}", ada)
    # Shown to herself, it was used in the meantime.
    assert (status, shown | {"last_activity": None}) == (200, made)
    assert secret not in str(await house.pool.fetch("select data from events"))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"expires_in": 0}, "expires_in must be a positive integer"),
        ({"expires_in": False}, "expires_in must be a positive integer"),
        ({"expires_in": -1}, "expires_in must be a positive integer"),
        ({"expires_in": 10**18}, "must not exceed"),
        ({"expires_in": 10**30}, "must not exceed"),
        ({"expires_in": 1.5}, "Invalid body"),
        ({"expires_in": "60"}, "Invalid body"),
        ({"note": "x" * (LONGEST_NOTE + 1)}, f"{LONGEST_NOTE} are allowed"),
        ({"note": 1}, "Invalid body"),
        ({"scopes": "self"}, "Invalid body"),
        ({"scopes": ["self"] * (MOST_SCOPES + 1)}, f"at most {MOST_SCOPES} scopes"),
        ({"roles": ["user"] * (MOST_SCOPES + 1)}, f"at most {MOST_SCOPES} roles"),
        ({"scopes": ["self"], "roles": ["user"]}, "not both"),
        ({"scopes": ["no:such:" + "x" * 5000]}, "No such scope: 'no:such:xxx"),
        ({"roles": ["nobody"]}, "No such role: 'nobody'"),
        ({"scopes": ["admin:users"]}, "not held by user ada"),
        ({"roles": ["admin"]}, "not held by user ada"),
        ({"nonsense": "x"}, "Invalid JSON keys: nonsense"),
    ],
)
async def test_what_cannot_be_asked_for(house, ada, body, said):
    status, answer = await asked(house, ada, **body)
    assert (status, said in answer["message"]) == (400, True), answer
    assert len(answer["message"]) <= 1010


async def test_true_is_one_second(house, ada):
    status, made = await asked(house, ada, expires_in=True)
    lasting = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created"])
    assert (status, lasting) == (201, timedelta(seconds=1))


async def test_the_limit_is_exact_and_named_however_many_ask_at_once(house, colleague, ada):
    answers = await asyncio.gather(*(asked(each, ada) for each in [house, colleague] * 10))
    assert Counter(status for status, _ in answers) == {201: 9, 429: 11}
    assert all("c.Hubbub.token_limit_per_user" in answer["message"] for status, answer in answers if status == 429)
    made = next(answer for status, answer in answers if status == 201)
    assert (await ask(house, "DELETE", f"/users/ada/tokens/{made['id']}", ada))[0] == 204
    assert (await asked(house, ada))[0] == 201
    assert (await asked(house, ada))[0] == 429
    # Those that are over do not count, whether anything has swept them or not.
    await house.pool.execute("update tokens set expires_at = now() - interval '1 s' where id = $1", await newest(house))
    assert (await asked(house, ada))[0] == 201


async def newest(house) -> str:
    return str(await house.pool.fetchval("select id from tokens order by number desc limit 1"))


async def test_who_may_make_them_for_whom(house, ada):
    await house.person("bob")
    await house.person("root", admin=True)
    bob, root, weak = await house.token("bob"), await house.token("root"), await house.token("bob", "list:users")
    status, made = await asked(house, root)
    assert (status, made["note"]) == (201, "Requested via api by user root")
    assert (await asked(house, ada))[1]["note"] == "Requested via api"
    hidden = {"status": 403, "message": "User ada not found or no permissions to generate tokens"}
    assert await asked(house, bob) == (403, hidden)
    missing = await ask(house, "POST", "/users/nobody/tokens", root, {})
    assert missing == (403, {**hidden, "message": hidden["message"].replace("ada", "nobody")})
    assert await asked(house, weak) == (403, hidden)
    assert (await asked(house, ""))[0] == 403
    assert (await ask(house, "GET", "/users/nobody/tokens", root))[0] == 404
    status, refused = await ask(house, "GET", "/users/ada/tokens/a999", root)
    assert (status, refused["message"]) == (404, "No such token a999 for user ada")


async def test_a_cookie_needs_the_token_of_the_page_even_with_credentials(house, ada):
    body = {"auth": {"username": "ada", "password": "x"}}
    answer = await house.ask("/hub/api/users/ada/tokens", "ada", "POST", json=body)
    assert answer.status == 403
    assert "_xsrf" in (await answer.json())["message"]
    answer = await house.ask(f"/hub/api/users/ada/tokens?_xsrf={house.xsrf('ada')}", "ada", "POST", json=body)
    assert answer.status == 201


async def test_credentials_while_nobody_can_check_them(house, ada):
    answer = await house.ask(
        "/hub/api/users/ada/tokens", method="POST", json={"auth": {}}, headers={"Origin": "https://elsewhere.example"}
    )
    assert answer.status == 503
    assert (await asked(house, "", auth=None))[1] == {"status": 403, "message": None}


async def test_the_list_is_by_last_use_without_those_that_are_over(house, ada):
    ids = [(await asked(house, ada, note=str(number)))[1]["id"] for number in range(4)]
    pool = house.pool
    ages = {ids[0]: 1, ids[2]: 3}
    for id, hours in ages.items():
        await pool.execute(
            "insert into activity (subject, at) select 'token:' || id, now() - make_interval(hours => $2) "
            "from tokens where number = $1",
            int(id[1:]),
            hours,
        )
    await pool.execute("update tokens set expires_at = now() where number = $1", int(ids[3][1:]))
    _, listed = await ask(house, "GET", "/users/ada/tokens", ada)
    assert [token["note"] for token in listed["api_tokens"]] == ["2", "0", "1", ""]  # the last one asks


async def issue(house, owner: str, **more: Any) -> None:
    user = await house.views.user(owner)

    async def body(tx: Any) -> None:
        await tx.know(user.id)
        await tx.act(TOKENS, uuid4().hex, IssueToken(user=user.id, hash=token_hash(uuid4().hex), **more))

    await house.committer.submit(body, BY_TEST)


async def test_each_says_whom_it_was_given_to(house, ada):
    user = await house.views.user("ada")
    await house.committer.execute(SERVERS, "s", CreateServer(user=user.id, name="lab"), BY_TEST)
    await issue(house, "ada", client="jupyterhub-user-ada-lab", server="s", note="1")
    await issue(house, "ada", client="service-the-board", note="2")
    await issue(house, "ada", client="service-that-was", note="3")
    _, listed = await ask(house, "GET", "/users/ada/tokens", ada)
    words = {token["note"]: token["oauth_client"] for token in listed["api_tokens"]}
    assert words == {
        "": "JupyterHub",
        "1": "Server at /user/ada/lab/",
        "2": "JupyterHub service board",
        "3": "service-that-was",
    }


async def test_deleting_one_of_a_client_deletes_all_of_it_but_the_servers_own(house, ada):
    for _ in range(2):
        await issue(house, "ada", client="service-the-board", note="theirs")
    await issue(house, "ada", note="mine")
    _, listed = await ask(house, "GET", "/users/ada/tokens", ada)
    theirs = next(token["id"] for token in listed["api_tokens"] if token["note"] == "theirs")
    assert (await ask(house, "DELETE", f"/users/ada/tokens/{theirs}", ada))[0] == 204
    _, listed = await ask(house, "GET", "/users/ada/tokens", ada)
    assert {token["note"] for token in listed["api_tokens"]} == {"", "mine"}


async def test_a_token_of_the_configuration_is_its_users_from_the_start(house, options):
    assert (await ask(house, "GET", "/user", CHOSEN))[0] == 403
    await house.settle(api_tokens=options.hub.api_tokens)
    status, model = await ask(house, "GET", "/user", CHOSEN)
    assert (status, model["name"], model["token_id"]) == (200, "ada", None)
    assert (await asked(house, CHOSEN))[0] == 201
    assert CHOSEN not in str(await house.pool.fetch("select data, meta from events"))
    assert token_hash(CHOSEN) not in str(await house.pool.fetch("select data from events"))


@pytest.mark.parametrize("option", ["api_tokens", "service_tokens"])
@pytest.mark.parametrize("token", ["short", "x" * 65, "with a space", "with-an-umläut"])
def test_a_token_of_the_configuration_that_could_never_match_is_named_by_its_owner(option, token):
    with pytest.raises(ConfigError, match=f"a token of 'ada' in c.JupyterHub.{option}") as refused:
        Options(Config({"JupyterHub": {option: {token: "ada"}}}))
    assert token not in str(refused.value)


def test_a_token_of_the_configuration_has_one_owner():
    with pytest.raises(ConfigError, match="'ada' and of 'board'"):
        Options(Config({"JupyterHub": {"api_tokens": {"secret-of-the-board": "ada"}, "services": SERVICES}}))


async def test_last_use_is_told_in_the_form_of_all_times(house, ada):
    _, listed = await ask(house, "GET", "/users/ada/tokens", ada)
    [token] = listed["api_tokens"]
    assert datetime.fromisoformat(token["last_activity"]) <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("path", "largest"), [("/users/ada/tokens", 2**16), ("/users/ada/activity", 2**20), ("/users", 10 * 2**20)]
)
async def test_each_endpoint_reads_as_much_as_it_has_use_for(house, path, largest):
    await house.person("root", admin=True)
    await house.person("ada")
    token = await house.token("root")
    for size, expected in ((largest, 400), (largest + 1, 413)):
        answer = await house.ask(f"/hub/api{path}", method="POST", token=token, data=b" " * (size - 1) + b"[")
        assert answer.status == expected, await answer.text()
        if expected == 413:
            assert (await answer.json())["message"] == f"The body has more than {largest} bytes"


async def test_old_services_ask_whom_a_cookie_belongs_to(house, ada):
    """JupyterHub 1 had them do that."""
    await house.person("root", admin=True)
    root = await house.token("root")
    login = await house.ask("/hub/api/user", "root")
    cookie = login.request_info.headers["Cookie"].partition('"')[2].partition('"')[0]
    place = "/hub/api/authorizations/cookie/jupyterhub-hub-login"
    for answer in (
        await house.ask(f"{place}/{quote(cookie)}", token=root),
        await house.ask(place, token=root, data=cookie),
    ):
        assert (answer.status, (await answer.json())["name"]) == (200, "root")
    answer = await house.ask(f"{place}/{quote(cookie)}", token=ada)
    assert (answer.status, sorted(await answer.json())) == (200, ["kind", "name"])
    for wrong in (f"{place}/wrong", place, place.replace("hub-login", "session-id"), f"{place}/{'x' * 5000}"):
        assert (await house.ask(wrong, token=root)).status == 404
    assert (await house.ask(f"{place}/{quote(cookie)}", "root")).status == 403
    assert (await house.ask(f"{place}/{quote(cookie)}")).status == 403


async def test_old_ways_to_a_token_say_where_the_new_one_is(house, ada):
    for path in ("", "/x"):
        for who in ("", "ada"):
            answer = await house.ask(
                f"/hub/api/authorizations/token{path}", who, "POST", headers={"Origin": "https://elsewhere.example"}
            )
            assert (answer.status, "POST /users/" in (await answer.json())["message"]) == (404, True)
