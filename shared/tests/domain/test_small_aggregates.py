"""Users, tokens, sessions, codes and proxies: every command in every state."""

from datetime import UTC, datetime
from typing import Any

import pytest

from hubbub.domain import code, proxy, session, token, user
from hubbub.domain.code import CodeExpired, CodeIssued, CodeRedeemed, ExpireCode, IssueCode, RedeemCode
from hubbub.domain.message import AlreadyExists, Command, Decider, Event, NotFound
from hubbub.domain.proxy import (
    JoinProxy,
    LoseProxy,
    Mended,
    MoveProxy,
    NoteCorrections,
    ProxyJoined,
    ProxyLost,
    ProxyMoved,
    RoutesCorrected,
)
from hubbub.domain.session import CloseSession, OpenSession, SessionClosed, SessionOpened
from hubbub.domain.token import IssueToken, RestrictToken, RevokeToken, TokenIssued, TokenRestricted, TokenRevoked
from hubbub.domain.user import (
    AdminSet,
    CreateUser,
    DeleteUser,
    RenameUser,
    SetAdmin,
    UserCreated,
    UserDeleted,
    UserRenamed,
)
from hubbub.testing.given import after, given

THEN = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING: list[Event] = []

create = CreateUser(user="u1", name="ada")
ada = UserCreated(user="u1", name="ada", admin=False)
renamed = UserRenamed(user="u1", name="lovelace")

issue = IssueToken(user="u1", hash="sha256:1", scopes=("self",), note="mine", expires_at=THEN)
issued = TokenIssued(
    user="u1", hash="sha256:1", scopes=("self",), note="mine", service="", client="jupyterhub", session="",
    server="", expires_at=THEN,
)  # fmt: skip

restrict = RestrictToken(scopes=(), grants=("read:users",))
restricted = TokenRestricted(scopes=(), grants=("read:users",))

log_in = OpenSession(user="u1", hash="sha256:2", address="10.0.0.1", expires_at=THEN)
log_out = CloseSession(reason="ended", address="10.0.0.2")
logged_in = SessionOpened(user="u1", hash="sha256:2", address="10.0.0.1", expires_at=THEN)

authorize = IssueCode(
    user="u1", hash="sha256:3", client="c", redirect_uri="/cb", scopes=(), session="s", expires_at=THEN
)
authorized = CodeIssued(
    user="u1", hash="sha256:3", client="c", redirect_uri="/cb", scopes=(), session="s", expires_at=THEN,
    challenge="", challenge_method="",
)  # fmt: skip

join, joined = JoinProxy(proxy="p1"), ProxyJoined(proxy="p1")
move = MoveProxy(proxy="p1", api_url="http://10.0.0.9:8001")
moved = ProxyMoved(proxy="p1", api_url="http://10.0.0.9:8001")
wrong = (Mended(server="s1", found=None, made="http://10.0.0.3:1"),)
mend = NoteCorrections(proxy="p1", reason="routes differ", count=2, routes=wrong)
mended = RoutesCorrected(proxy="p1", reason="routes differ", count=2, routes=wrong)

Case = tuple[Decider[Any, Any, Any], list[Event], Command, Any]

CASES: list[Case] = [
    (user.decider, [], create, [ada]),
    (user.decider, [], RenameUser(name="x"), NotFound),
    (user.decider, [], SetAdmin(admin=True), NotFound),
    (user.decider, [], DeleteUser(), NotFound),
    (user.decider, [ada], create, AlreadyExists),
    (user.decider, [ada], RenameUser(name="lovelace"), [renamed]),
    (user.decider, [ada], RenameUser(name="ada"), NOTHING),
    (user.decider, [ada, renamed], RenameUser(name="lovelace"), NOTHING),
    (user.decider, [ada], SetAdmin(admin=True), [AdminSet(admin=True)]),
    (user.decider, [ada], SetAdmin(admin=False), NOTHING),
    (user.decider, [ada, AdminSet(admin=True)], SetAdmin(admin=False), [AdminSet(admin=False)]),
    (user.decider, [ada], DeleteUser(), [UserDeleted()]),
    (user.decider, [ada, UserDeleted()], DeleteUser(), NotFound),
    (user.decider, [ada, UserDeleted()], create, [ada]),
    (token.decider, [], issue, [issued]),
    (token.decider, [], RevokeToken(), NotFound),
    (token.decider, [issued], issue, AlreadyExists),
    (token.decider, [issued], RevokeToken(reason="expired"), [TokenRevoked(reason="expired")]),
    (token.decider, [issued, TokenRevoked(reason="asked")], RevokeToken(), NotFound),
    (token.decider, [], RestrictToken(scopes=()), NotFound),
    (token.decider, [issued], RestrictToken(scopes=("self",)), NOTHING),
    (token.decider, [issued], restrict, [restricted]),
    (token.decider, [issued, restricted], restrict, NOTHING),
    (session.decider, [], log_in, [logged_in]),
    (session.decider, [], CloseSession(), NOTHING),
    (session.decider, [logged_in], log_in, AlreadyExists),
    (session.decider, [logged_in], CloseSession(), [SessionClosed(user="u1", reason="logout")]),
    (session.decider, [logged_in], log_out, [SessionClosed(user="u1", reason="ended", address="10.0.0.2")]),
    (session.decider, [logged_in, SessionClosed(reason="logout")], CloseSession(), NOTHING),
    (code.decider, [], authorize, [authorized]),
    (code.decider, [], RedeemCode(), NotFound),
    (code.decider, [], ExpireCode(), NOTHING),
    (code.decider, [authorized], authorize, AlreadyExists),
    (code.decider, [authorized], RedeemCode(), [CodeRedeemed()]),
    (code.decider, [authorized], ExpireCode(), [CodeExpired()]),
    (code.decider, [authorized, CodeRedeemed()], RedeemCode(), NotFound),
    (code.decider, [authorized, CodeExpired()], RedeemCode(), NotFound),
    (proxy.decider, [], join, [joined]),
    (proxy.decider, [], LoseProxy(reason="silent"), NOTHING),
    (proxy.decider, [joined], join, NOTHING),
    (proxy.decider, [joined], LoseProxy(reason="silent"), [ProxyLost(reason="silent")]),
    (proxy.decider, [joined, ProxyLost(reason="silent")], join, [joined]),
    (proxy.decider, [], move, [moved]),
    (proxy.decider, [joined, moved], move, [moved]),
    (proxy.decider, [joined, moved], join, NOTHING),
    (proxy.decider, [moved], join, [joined]),
    (proxy.decider, [joined], mend, [mended]),
    (proxy.decider, [joined, mended], mend, [mended]),
    (proxy.decider, [mended], mend, [mended]),
    (proxy.decider, [mended], join, [joined]),
]


def _name(case: Case) -> str:
    decider, history, command, _ = case
    return f"{decider.name}-{'+'.join(type(event).__name__ for event in history) or 'nothing'}-{type(command).__name__}"


@pytest.mark.parametrize(("decider", "history", "command", "outcome"), CASES, ids=map(_name, CASES))
def test_what_comes_of_it(decider: Any, history: list[Event], command: Command, outcome: Any) -> None:
    asked = given(decider, *history).when(command)
    if isinstance(outcome, list):
        asked.then(*outcome)
    else:
        asked.then_rejected(outcome)


@pytest.mark.parametrize("decider", [user.decider, token.decider, session.decider, code.decider, proxy.decider])
def test_the_table_holds_every_command_in_every_state(decider: Any) -> None:
    tested = {(type(after(decider, history)), type(command)) for each, history, command, _ in CASES if each is decider}
    assert tested == {(state, command) for state in decider.states.__args__ for command in decider.commands.__args__}


def test_a_user_is_what_happened_to_them() -> None:
    state = after(user.decider, [ada, renamed, AdminSet(admin=True)])
    assert state == user.User(user="u1", name="lovelace", admin=True)


def test_an_issued_token_and_code_remember_all_that_they_were_given_for() -> None:
    for decider, event in ((token.decider, issued), (code.decider, authorized), (session.decider, logged_in)):
        state: Any = after(decider, [event])  # type: ignore[list-item]
        assert {name: getattr(state, name) for name in event.__struct_fields__} == {
            name: getattr(event, name) for name in event.__struct_fields__
        }


def test_a_token_that_was_restricted_may_do_what_is_left_to_it() -> None:
    state = after(token.decider, [issued, restricted])
    assert isinstance(state, token.Token)
    assert (state.scopes, state.grants, state.hash) == ((), ("read:users",), "sha256:1")
