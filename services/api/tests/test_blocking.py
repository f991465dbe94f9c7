"""Who is blocked has nothing left: no role, no group, no way in, nothing that runs. Once, and for each change."""

from typing import Any

import pytest
from traitlets.config import Config

from hubbub.access import Access
from hubbub.config import Options
from hubbub.domain.server_messages import ClaimAttempt, ReportResponded, ReportStarted, StartServer
from hubbub.verify import verify
from hubbub_api.startup import settle_configuration
from hubbub_api.testing import LATER

ROLES = {
    "load_roles": [{"name": "teacher", "scopes": ["list:users"], "users": ["ada", "eve"]}],
    "load_groups": {"class": ["ada", "eve"]},
}


async def starts(house: Any, blocked: Any = (), *, section: str = "Authenticator", **hub: Any) -> None:
    """An api starts with this configuration."""
    people = {"blocked_users": set(blocked)} if blocked else {}
    config = {"JupyterHub": {"authenticator_class": "dummy", **ROLES, **hub}, "Authenticator": {"admin_users": {"ada"}}}
    config[section] = {**config.get(section, {}), **people}
    await settle_configuration(house.pool, house.committer, Options(Config(config)))


async def of(house: Any, query: str) -> list[Any]:
    return [row[0] for row in await house.pool.fetch(query)]


async def what_they_have(house: Any) -> dict[str, list[Any]]:
    return {
        "admins": await of(house, "select name from users where admin order by name"),
        "teachers": await of(house, "select name from grants g join users u on u.id = g.holder order by name"),
        "class": await of(house, "select name from members m join users u on u.id = m.user_id order by name"),
        "sessions": await of(house, "select name from sessions x join users u on u.id = x.user_id order by name"),
        "tokens": await of(house, "select name from tokens t join users u on u.id = t.user_id order by name"),
        "servers": await of(
            house, "select u.name || s.kind from servers s join users u on u.id = s.user_id order by 1"
        ),
    }


@pytest.fixture
async def tokens(house: Any) -> dict[str, str]:
    """Ada and eve, logged in, with tokens and servers that run, and all that the configuration gives them."""
    found = {}
    for name in ("ada", "eve"):
        await house.person(name)
        found[name] = await house.token(name)
        up = (
            StartServer(at=LATER, pool="default", prefix=f"/user/{name}/", deadline=LATER),
            ClaimAttempt(attempt=1, worker="w", host="h", token=name, deadline=LATER),
            ReportStarted(attempt=1, worker="w", url="http://127.0.0.1:1", deadline=LATER),
            ReportResponded(attempt=1, worker="w", deadline=LATER),
        )
        await house.server(name, "", *up)
    await starts(house)
    return found


HAD = {
    "admins": ["ada"],
    "teachers": ["ada", "eve"],
    "class": ["ada", "eve"],
    "sessions": ["ada", "eve"],
    "tokens": ["ada", "eve"],
    "servers": ["adaRunning", "eveRunning"],
}
LEFT = {
    "admins": [],
    "teachers": ["eve"],
    "class": ["eve"],
    "sessions": ["eve"],
    "tokens": ["eve"],
    "servers": ["adaStopping", "eveRunning"],
}


@pytest.mark.parametrize("section", ["Authenticator", "DummyAuthenticator"])
async def test_everything_is_taken_away(house, tokens, database, vault_key, section):
    assert await what_they_have(house) == HAD
    await starts(house, ["ada", "nobody"], section=section)
    assert await what_they_have(house) == LEFT
    for asker in ({"who": "ada"}, {"token": tokens["ada"]}):
        assert (await house.ask("/hub/api/user", **asker)).status == 403
    assert (await house.ask("/hub/api/user", token=tokens["eve"])).status == 200
    assert await verify(database.api_dsn, vault_key) == []


async def test_it_is_done_once_and_again_when_anything_is_given_anew(house, tokens):
    await starts(house, ["ada"])
    before = await house.pool.fetchval("select position from log_head")
    await starts(house, ["ada"])
    assert await house.pool.fetchval("select position from log_head") == before
    more = {"class": ["ada", "eve"], "lab": ["ada"]}
    await starts(house, ["ada"], load_groups=more)
    assert await what_they_have(house) == LEFT
    # Who is let in again is what the configuration makes of them.
    await starts(house)
    again = await what_they_have(house)
    assert (again["admins"], again["teachers"], again["class"]) == (["ada"], ["ada", "eve"], ["ada", "eve"])
    assert again["tokens"] == again["sessions"] == ["eve"]


async def test_a_token_of_the_configuration_is_nobodys(house, tokens):
    await house.person("bob")
    config = {"JupyterHub": {"api_tokens": {"token-of-bob": "bob", "token-of-eve": "eve"}}}
    config["Authenticator"] = {"blocked_users": {"bob"}}
    access = Access(house.pool, Options(Config(config)))
    assert await access.by_token("token-of-bob") is None
    assert (await access.by_token("token-of-eve")).name == "eve"
