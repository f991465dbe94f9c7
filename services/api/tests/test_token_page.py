"""The tokens page: what it shows of tokens, what it offers to make, and what scopes are in words."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from hubbub.access import Identity
from hubbub.domain.scope_tree import ADMIN_ROLE, TREE, Tree
from hubbub.domain.token import IssueToken
from hubbub.eventlog import Context
from hubbub.tokens import token_hash
from hubbub.views import TOKENS
from hubbub_api.pages.pending import said, steps
from hubbub_api.pages.scope_choices import about_oneself, beyond, in_words, only_servers
from hubbub_api.pages.tokens import lives

DAY = 24 * 3600


def identity(*scopes: str) -> Identity:
    return Identity(kind="user", name="ada", id="1", scopes=TREE.expand(scopes, user="ada"))


def scopes_in(topics: list[Any]) -> list[str]:
    return [choice.scope for topic in topics for choice in topic.choices]


async def issue(house, name: str, **more: Any) -> None:
    user = await house.views.user(name)

    async def body(tx: Any) -> None:
        await tx.know(user.id)
        await tx.act(TOKENS, uuid4().hex, IssueToken(user=user.id, hash=token_hash(uuid4().hex), **more))

    await house.committer.submit(body, Context.of("test"))


async def page(house, who: str) -> str:
    answer = await house.ask("/hub/token", who)
    assert answer.status == 200
    text: str = await answer.text()
    return text


async def test_tokens_are_shown_with_what_they_may_do_and_expired_ones_are_not(house):
    await house.person("ada")
    now = datetime.now(UTC)
    await issue(house, "ada", note="<backup>", scopes=("read:servers!user",), expires_at=now + timedelta(days=1))
    await issue(house, "ada", note="everything")
    await issue(house, "ada", note="long gone", expires_at=now - timedelta(days=1))
    text = await page(house, "ada")
    assert "&lt;backup&gt;" in text
    assert "See your servers and whether they run\n" in text
    assert "Everything that you may do" in text
    assert "long gone" not in text


async def test_applications_are_one_line_each_however_often_they_were_let_in(house):
    await house.person("ada")
    server = await house.server("ada", "lab")
    scopes = ("access:servers!server=ada/lab", "read:users:name!user=ada")
    for session in ("a", "b"):
        await issue(house, "ada", client="jupyterhub-user-ada-lab", server=server, session=session, scopes=scopes)
    text = await page(house, "ada")
    assert text.count('<th scope="row">Server at /user/ada/lab/') == 1
    assert "(2 times)" in text
    assert "Open your server lab" in text


async def test_strangers_are_asked_to_log_in(house):
    assert (await house.ask("/hub/token")).headers["Location"] == "/hub/login?next=%2Fhub%2Ftoken"


def test_everybody_is_offered_what_is_their_own_and_nothing_else():
    ada = identity("self")
    offered = scopes_in(about_oneself(ada, TREE))
    assert {"servers!user", "access:servers!user", "tokens!user"} <= set(offered)
    assert "shares!user" not in offered
    assert beyond(ada, TREE) == []
    assert only_servers(ada) == ("servers!user", "access:servers!user")
    assert only_servers(identity("read:users!user")) == ()


def test_whoever_has_more_is_offered_that_apart():
    root = identity("self", *ADMIN_ROLE)
    more = scopes_in(beyond(root, TREE))
    assert {"admin:users", "shutdown"} <= set(more)
    assert not [scope for scope in more if scope.endswith("!user=ada")]
    assert {scope.partition("!")[0] for scope in more} == {scope.partition("!")[0] for scope in root.scopes}
    shared = identity("self", "access:servers!server=bob/lab")
    assert scopes_in(beyond(shared, TREE)) == ["access:servers!server=bob/lab"]


def test_everything_that_is_offered_can_be_given():
    for scopes in (("self",), ("self", *ADMIN_ROLE), ("self", "shares!user", "access:servers!group=crew")):
        ada = identity(*scopes)
        for scope in scopes_in(about_oneself(ada, TREE)) + scopes_in(beyond(ada, TREE)):
            assert TREE.known(scope)
            assert TREE.expand((scope,), user="ada")


def test_a_custom_scope_has_the_operators_words():
    tree = Tree({"custom:grades:read": {"description": "Read grades"}})
    ada = Identity(kind="user", name="ada", scopes=frozenset({"custom:grades:read"}))
    [topic] = beyond(ada, tree)
    assert [choice.words for choice in topic.choices] == ["Read grades"]


@pytest.mark.parametrize(
    ("scopes", "words"),
    [
        (("servers!user", "read:servers!user"), ["Start, stop and change your servers"]),
        (("servers!user=ada",), ["Start, stop and change your servers"]),
        (("servers",), ["Start and stop servers"]),
        (("access:servers!server=ada/",), ["Open your server"]),
        (("access:servers!server=bob/x",), ["Open servers and work in them (only for bob's server x)"]),
    ],
)
def test_scopes_in_words(scopes, words):
    assert words == in_words(scopes, TREE, "ada")


def test_a_token_lasts_no_longer_than_is_allowed():
    assert lives(0)[-1] == ("", "Until it is revoked")
    assert lives(DAY) == [("3600", "1 hour"), (str(DAY), "1 day")]
    assert lives(2 * DAY)[-1] == (str(2 * DAY), "2 days, the longest that is allowed here")
    assert lives(90) == [("90", "1 minute, the longest that is allowed here")]


# Steps of a start ----------------------------------------------------------------------------

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def test_a_start_is_shown_step_by_step():
    shown = steps([("ServerStarted", ago(1)), ("AttemptClaimed", ago(4)), ("SpawnRequested", ago(10))], NOW)
    assert [(step.seconds, step.now) for step in shown] == [(6, False), (3, False), (1, True), (None, False)]


def test_an_earlier_start_does_not_count():
    earlier = [("ServerResponded", ago(90)), ("AttemptClaimed", ago(99)), ("SpawnRequested", ago(100))]
    shown = steps([("SpawnRequested", ago(2)), *earlier], NOW)
    assert [(step.seconds, step.now) for step in shown] == [(2, True), (None, False), (None, False), (None, False)]


def test_nothing_known_of_a_start_is_no_step():
    assert not [step for step in steps([], NOW) if step.now or step.seconds is not None]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 0 s"), (125, "2 min 5 s")]
)
def test_seconds_in_words(seconds, words):
    assert words == said(seconds)
