"""Sessions and logins, as people and administrators see and end them by REST, on two apis."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from hubbub.auth_messages import Page
from hubbub.domain.session import CloseSession, OpenSession
from hubbub.domain.token import IssueToken
from hubbub.eventlog import Context
from hubbub.testing.eventually import eventually
from hubbub.tokens import token_hash
from hubbub.views import SESSIONS, TOKENS
from hubbub.web.request import GATE
from hubbub_api.expiry import expire
from hubbub_api.forward import AUTHS
from hubbub_api.keys import ACTIVITIES

LATER = datetime.now(UTC) + timedelta(hours=1)
IDLE = 120.0


async def user_id(house, name: str) -> str:
    return str((await house.views.user(name)).id)


async def opened(house, name: str, *, address: str = "10.0.0.7", agent: str = "curl/8") -> tuple[str, str]:
    """Another browser of somebody: the id of its session, and a token that a server has got in it."""
    user, id, token = await user_id(house, name), uuid4().hex, uuid4().hex

    async def body(tx: Any) -> None:
        await tx.know(user)
        opening = OpenSession(user=user, hash=token_hash(id), address=address, agent=agent, expires_at=LATER)
        await tx.act(SESSIONS, id, opening)
        issue = IssueToken(user=user, hash=token_hash(token), client="c", session=id, scopes=("self",))
        await tx.act(TOKENS, uuid4().hex, issue)

    await house.committer.submit(body, Context.of(f"user:{user}"))
    return id, token


async def listed(house, who: str, of: str = "", **more: Any) -> list[dict[str, Any]]:
    answer = await house.ask(f"/hub/api/users/{of or who}/sessions", who, **more)
    assert answer.status == 200
    found: list[dict[str, Any]] = await answer.json()
    return found


async def change(house, path: str, who: str, method: str = "DELETE") -> Any:
    return await house.ask(path, who, method, headers={"X-XSRFToken": house.xsrf(who), "Origin": "http://x"})


async def test_one_sees_where_one_is_logged_in_and_nothing_that_could_be_used(house):
    await house.person("ada")
    await house.person("bob")
    id, _ = await opened(house, "ada")
    newest, oldest = await listed(house, "ada")
    assert (newest["address"], newest["agent"], newest["current"]) == ("10.0.0.7", "curl/8", False)
    assert (oldest["address"], oldest["current"], oldest["user"]) == ("::1", True, "ada")
    assert newest["created"] > oldest["created"]
    assert newest["expires_at"].startswith(LATER.strftime("%Y-%m-%dT%H:%M"))
    assert id not in str(newest)
    assert token_hash(id) not in str(newest)
    page = await house.ask(
        "/hub/api/users/ada/sessions?limit=1", "ada", headers={"Accept": "application/jupyterhub-pagination+json"}
    )
    assert (await page.json())["_pagination"]["total"] == 2


async def test_nobody_elses(house):
    await house.person("ada")
    await house.person("bob")
    await house.person("root", admin=True)
    for path in ("sessions", "logins"):
        assert (await house.ask(f"/hub/api/users/ada/{path}", "bob")).status == 404
        assert (await house.ask(f"/hub/api/users/ada/{path}")).status == 403
        assert (await house.ask(f"/hub/api/users/ada/{path}", "root")).status == 200
        assert (await house.ask(f"/hub/api/users/nobody/{path}", "root")).status == 404
    [session] = await listed(house, "root", of="ada")
    assert (await change(house, f"/hub/api/users/ada/sessions/{session['id']}", "bob")).status == 404
    assert (await change(house, f"/hub/api/users/bob/sessions/{session['id']}", "bob")).status == 404
    assert (await change(house, "/hub/api/users/ada/sessions", "bob")).status == 404
    assert len(await listed(house, "ada")) == 1


@pytest.mark.parametrize(
    ("scope", "reads", "ends"), [("read:tokens", 200, 403), ("tokens", 200, 204), ("read:users", 403, 403)]
)
async def test_what_a_token_may_do(house, scope, reads, ends):
    await house.person("ada")
    await opened(house, "ada")
    token = await house.token("ada", f"{scope}!user")
    assert (await house.ask("/hub/api/users/ada/sessions", token=token)).status == reads
    assert (await house.ask("/hub/api/users/ada/logins", token=token)).status == reads
    assert (await house.ask("/hub/api/users/ada/sessions", method="DELETE", token=token)).status == ends


async def test_a_session_that_is_ended_is_over_with_its_tokens_on_every_api_and_no_other_is(house, colleague):
    await house.person("ada")
    _, token = await opened(house, "ada")
    _, other = await opened(house, "ada")
    last, one, own = await listed(house, "ada")
    assert (await colleague.ask("/hub/api/user", token=token)).status == 200
    assert (await change(house, f"/hub/api/users/ada/sessions/{one['id']}", "ada")).status == 204
    assert (await colleague.ask("/hub/api/user", token=token)).status == 403
    assert (await colleague.ask("/hub/api/user", token=other)).status == 200
    assert [each["id"] for each in await listed(house, "ada")] == [last["id"], own["id"]]
    assert (await change(house, f"/hub/api/users/ada/sessions/{one['id']}", "ada")).status == 404


@pytest.mark.parametrize("id", ["a1", "s", "s-1", "s0", "s%D9%A1", "s" + "9" * 30, "0"])
async def test_what_is_no_session_is_not_found(house, id):
    await house.person("ada")
    assert (await change(house, f"/hub/api/users/ada/sessions/{id}", "ada")).status == 404


async def test_logging_out_everywhere_else_leaves_this_browser_and_api_tokens(house, colleague):
    await house.person("ada")
    _, token = await opened(house, "ada")
    mine = await house.token("ada")
    # One that a server was given in a session that has lasted for as long as it may.
    user = await user_id(house, "ada")
    issue = IssueToken(user=user, hash=token_hash("old"), client="c", session="gone", scopes=("self",))

    async def body(tx: Any) -> None:
        await tx.know(user)
        await tx.act(TOKENS, uuid4().hex, issue)

    await house.committer.submit(body, Context.of("test"))
    assert (await change(house, "/hub/api/users/ada/sessions?except=current", "ada")).status == 204
    assert [each["current"] for each in await listed(colleague_of(colleague, house), "ada")] == [True]
    for each in (token, "old"):
        assert (await house.ask("/hub/api/user", token=each)).status == 403
    assert (await house.ask("/hub/api/user", token=mine)).status == 200
    assert (await house.ask("/hub/api/users/ada/sessions?except=current", method="DELETE", token=mine)).status == 400
    assert (await house.ask("/hub/api/users/ada/sessions?except=other", method="DELETE", token=mine)).status == 400
    assert (await house.ask("/hub/api/users/ada/sessions", method="DELETE", token=mine)).status == 204
    assert (await colleague_of(colleague, house).ask("/hub/api/user", "ada")).status == 403


def colleague_of(colleague: Any, house: Any) -> Any:
    """The other api, with the same browsers in front."""
    colleague._people = house._people
    return colleague


async def test_a_write_by_cookie_needs_the_token_of_our_pages(house):
    await house.person("ada")
    await opened(house, "ada")
    assert (await house.ask("/hub/api/users/ada/sessions", "ada", "DELETE")).status == 403
    assert len(await listed(house, "ada")) == 2


async def test_logins_say_how_they_ended_and_by_whom(house):
    await house.person("ada")
    await house.person("root", admin=True)
    user = await user_id(house, "ada")
    first, _ = await opened(house, "ada")
    await opened(house, "ada", address="::ffff:10.0.0.8")
    close = CloseSession(reason="logout", address="10.0.0.9")
    await house.committer.execute(SESSIONS, first, close, Context.of(f"user:{user}"))
    newest, *_ = await listed(house, "ada")
    assert (await change(house, f"/hub/api/users/ada/sessions/{newest['id']}", "root")).status == 204
    history = await (await house.ask("/hub/api/users/ada/logins", "ada")).json()
    by_admin, by_self, lasting = history["logins"]
    assert (by_admin["session"], by_admin["address"], by_admin["agent"]) == (newest["id"], "10.0.0.8", "curl/8")
    assert (by_admin["ended"]["reason"], by_admin["ended"]["by"], by_admin["ended"]["address"]) == (
        "ended",
        "root",
        None,
    )
    assert (by_self["ended"]["reason"], by_self["ended"]["by"], by_self["ended"]["address"]) == (
        "logout",
        "ada",
        "10.0.0.9",
    )
    assert lasting["ended"] is None
    seen = await (await house.ask("/hub/api/users/ada/logins", "root")).json()
    assert seen["logins"][0]["ended"]["address"] == "127.0.0.1"
    older = await (await house.ask(f"/hub/api/users/ada/logins?before={by_admin['session']}&limit=1", "ada")).json()
    assert [each["session"] for each in older["logins"]] == [by_self["session"]]
    assert (await house.ask("/hub/api/users/ada/logins?before=12", "ada")).status == 400


async def test_failures_are_shown_to_whom_they_were_about(house, database):
    await house.person("ada")
    await house.person("bob")
    many = "select 'x', '192.0.2.' || g, now() - g * interval '1 s', 'wrong', $1, '' from generate_series(1, 150) g"
    owner = await asyncpg.connect(database.owner_dsn)
    await owner.execute(
        f"insert into login_attempts (name, address, at, why, user_id, device) {many}", await user_id(house, "ada")
    )
    await owner.close()
    failed = (await (await house.ask("/hub/api/users/ada/logins", "ada")).json())["failed"]
    assert len(failed) == 100
    assert (failed[0]["address"], failed[0]["why"], failed[0]["known_browser"]) == ("192.0.2.1", "wrong", False)
    assert (await (await house.ask("/hub/api/users/bob/logins", "bob")).json())["failed"] == []
    text = await (await house.ask("/hub/sessions", "ada")).text()
    assert "name or password was wrong" in text
    await house.person("root", admin=True)
    assert (await house.ask("/hub/api/logins/failed", "ada")).status == 403
    some = await house.token("root", "admin:users!user=ada")
    assert (await house.ask("/hub/api/logins/failed", token=some)).status == 403
    everybody = await (await house.ask("/hub/api/logins/failed?limit=2&offset=1", "root")).json()
    assert [(each["user"], each["address"]) for each in everybody] == [("ada", "192.0.2.2"), ("ada", "192.0.2.3")]
    assert (await change(house, "/hub/api/users/ada", "root")).status == 204
    assert await (await house.ask("/hub/api/logins/failed", "root")).json() == []


# Idle -----------------------------------------------------------------------------------


async def age(house, session: str, seconds: float) -> None:
    """Let *session* have been used last so long ago."""
    await house.pool.execute(
        "insert into activity (subject, at) values ('session:' || $1, now() - make_interval(secs => $2)) "
        "on conflict (subject) do update set at = excluded.at",
        session,
        seconds,
    )


async def used(house, session: str) -> datetime | None:
    found: datetime | None = await house.pool.fetchval(
        "select at from activity where subject = 'session:' || $1", session
    )
    return found


async def session_of(house, name: str) -> str:
    user = await user_id(house, name)
    return str(await house.pool.fetchval("select id from sessions where user_id = $1 order by number limit 1", user))


@pytest.mark.parametrize("ours", [{"session_idle_timeout": IDLE}], indirect=True)
async def test_a_session_that_is_not_used_is_over_at_the_next_request_on_every_api(house, colleague):
    await house.person("ada")
    session = await session_of(house, "ada")
    other, token = await opened(house, "ada")
    apis = (house, colleague_of(colleague, house))
    for seconds, status in ((IDLE - 10, 200), (IDLE + 1, 403)):
        await age(house, session, seconds)
        await age(house, other, seconds)
        for api in apis:
            assert (await api.ask("/hub/api/user", "ada")).status == status
            assert (await api.ask("/hub/api/user", token=token)).status == status
    assert (await house.ask("/hub/home", "ada")).status == 302
    assert await expire(house.pool, house.committer, idle=IDLE) == 2
    assert await house.pool.fetchval("select count(*) from sessions") == 0
    assert await house.pool.fetchval("select count(*) from tokens") == 0
    assert await used(house, session) is None
    reasons = await house.pool.fetch("select data, meta from events where type in ('SessionClosed', 'TokenRevoked')")
    assert [('"reason":"idle"' in row["data"], '"actor":"sweep"' in row["meta"]) for row in reasons] == [
        (True, True)
    ] * 3


@pytest.mark.parametrize("ours", [{"session_idle_timeout": IDLE}], indirect=True)
@pytest.mark.parametrize("how", ["page", "api", "token"])
async def test_use_of_any_kind_keeps_a_session_and_is_written_only_when_it_is_news(house, how):
    await house.person("ada")
    session = await session_of(house, "ada")
    token = ""
    if how == "token":
        session, token = await opened(house, "ada")

    async def use() -> None:
        who = "" if token else "ada"
        answer = await house.ask("/hub/home" if how == "page" else "/hub/api/user", who, token=token)
        assert answer.status == 200
        await house.client.app[ACTIVITIES].write()

    await age(house, session, IDLE / 4 - 5)
    before = await used(house, session)
    await use()
    assert await used(house, session) == before
    await age(house, session, IDLE / 4 + 5)
    await use()
    written = await used(house, session)
    assert written is not None
    assert datetime.now(UTC) - written < timedelta(seconds=20)
    assert await expire(house.pool, house.committer, idle=IDLE) == 0


async def test_use_of_a_session_that_has_ended_meanwhile_leaves_nothing(house):
    await house.person("ada")
    session = await session_of(house, "ada")
    activities = house.client.app[ACTIVITIES]
    gate = house.client.app[GATE]
    identity = await gate.access.by_session("secret-of-ada")
    await house.committer.execute(SESSIONS, session, CloseSession(), Context.of("test"))
    activities.uses(identity)
    await activities.write()
    assert await used(house, session) is None


async def test_without_a_timeout_sessions_last(house):
    await house.person("ada")
    await age(house, await session_of(house, "ada"), 10**8)
    assert (await house.ask("/hub/api/user", "ada")).status == 200
    assert await expire(house.pool, house.committer) == 0


# The page -------------------------------------------------------------------------------


async def test_the_page_shows_them_and_ends_them_without_any_script(house):
    await house.person("ada")
    await opened(house, "ada", agent="Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0 <b>")
    _, token = await opened(house, "ada")
    text = await (await house.ask("/hub/sessions", "ada")).text()
    assert "Firefox on Linux" in text
    assert text.count("<script") == 1  # which does no more than look again
    assert "<b>" not in text
    [last, _, own] = await listed(house, "ada")
    fields = {"_xsrf": house.xsrf("ada"), "end": last["id"]}
    answer = await house.ask("/hub/sessions", "ada", "POST", data=fields)
    assert (answer.status, answer.headers["Location"]) == (302, "/hub/sessions")
    assert (await house.ask("/hub/api/user", token=token)).status == 403
    assert (await house.ask("/hub/sessions", "ada", "POST", data=fields)).status == 302
    answer = await house.ask("/hub/sessions", "ada", "POST", data={**fields, "end": "others"})
    assert answer.status == 302
    assert [each["id"] for each in await listed(house, "ada")] == [own["id"]]
    text = await (await house.ask("/hub/sessions", "ada")).text()
    assert text.count("ended from elsewhere") == 2


async def test_the_page_is_for_people_and_its_forms_are_its_own(house):
    await house.person("ada")
    assert (await house.ask("/hub/sessions")).headers["Location"] == "/hub/login?next=%2Fhub%2Fsessions"
    for fields in ({"end": "others"}, {"end": "others", "_xsrf": "x"}):
        assert (await house.ask("/hub/sessions", "ada", "POST", data=fields)).status == 403
    for end in ("", "a1", "all"):
        fields = {"_xsrf": house.xsrf("ada"), "end": end}
        assert (await house.ask("/hub/sessions", "ada", "POST", data=fields)).status == 400
    assert (await house.ask("/hub/sessions", "ada", "POST", data={"_xsrf": house.xsrf("ada")})).status == 400
    assert len(await listed(house, "ada")) == 1


async def test_every_page_leads_there(house):
    await house.person("ada")
    assert 'href="/hub/sessions"' in await (await house.ask("/hub/home", "ada")).text()


async def test_the_page_leads_to_those_of_the_authenticator(house, auth):
    """To each that one may use: others are not named."""
    await house.person("ada")
    await house.person("root", admin=True)
    accounts = Page(title="Accounts & more", url="/hub/accounts", scope="admin:users")
    await auth.announce("accounts", pages=(Page(title="Your password", url="/hub/password"), accounts))
    await eventually(lambda: house.client.app[AUTHS].pages)
    seen = {name: await (await house.ask("/hub/sessions", name)).text() for name in ("ada", "root")}
    assert all('href="/hub/password">Your password</a>' in text for text in seen.values())
    assert ["Accounts &amp; more</a>" in seen[name] for name in ("ada", "root")] == [False, True]
