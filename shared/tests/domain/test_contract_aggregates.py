"""Groups, members, grants, shares, share codes and services: every command in every state."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given as whatever
from hypothesis import strategies as st

from hubbub.domain import grant, group, member, role, service, share, share_code
from hubbub.domain.grant import GrantRole, Kind, RoleGranted, RoleWithdrawn, WithdrawRole, grant_id
from hubbub.domain.group import CreateGroup, DeleteGroup, GroupCreated, GroupDeleted, PropertiesSet, SetProperties
from hubbub.domain.member import AddMember, MemberAdded, MemberRemoved, RemoveMember, member_id
from hubbub.domain.message import AlreadyExists, Command, Decider, Event, Invalid, NotFound
from hubbub.domain.role import DefineRole, DropRole, RoleDefined, RoleDropped
from hubbub.domain.service import RegisterService, RemoveService, ServiceRegistered, ServiceRemoved, Spec
from hubbub.domain.share import RevokeShare, ServerShared, ShareRevoked, ShareServer, share_id
from hubbub.domain.share_code import (
    IssueShareCode,
    RevokeShareCode,
    ShareCodeIssued,
    ShareCodeRevoked,
    ShareCodeUsed,
    UseShareCode,
)
from hubbub.testing.given import after, given

THEN = datetime(2026, 1, 1, tzinfo=UTC)
BEFORE, LATER = THEN - timedelta(seconds=1), THEN + timedelta(seconds=1)
NOTHING: list[Event] = []

create = CreateGroup(name="class", properties={"year": 1})
created = GroupCreated(name="class", properties={"year": 1})
regrouped = PropertiesSet(properties={"year": 2})
ungrouped = GroupDeleted(reason="asked")

add = AddMember(group="g1", user="u1")
added = MemberAdded(group="g1", user="u1", source="api")
left = MemberRemoved(reason="asked")


drop, dropped = DropRole(reason="login"), RoleDropped(reason="login")


def define(*scopes: str) -> DefineRole:
    return DefineRole(scopes=scopes, description="Reads")


def defined(*scopes: str) -> RoleDefined:
    return RoleDefined(scopes=scopes, description="Reads", declared=False)


def grant_by(source: str) -> GrantRole:
    return GrantRole(role="teacher", kind="group", holder="g1", source=source)


def granted_by(source: str) -> RoleGranted:
    return RoleGranted(role="teacher", kind="group", holder="g1", source=source)


withdraw, withdrawn = WithdrawRole(reason="configuration"), RoleWithdrawn(reason="configuration")


def share_of(*scopes: str) -> ShareServer:
    return ShareServer(server="s1", user="u2", scopes=scopes, at=BEFORE)


def shared_as(*scopes: str) -> ServerShared:
    return ServerShared(server="s1", user="u2", group="", scopes=scopes, since=BEFORE)


unshared = ShareRevoked(reason="asked")

issue = IssueShareCode(server="s1", hash="sha256:1", scopes=("access:servers",), expires_at=THEN)
issued = ShareCodeIssued(server="s1", hash="sha256:1", scopes=("access:servers",), expires_at=THEN)
use, used = UseShareCode(user="u2", at=BEFORE), ShareCodeUsed(user="u2", at=BEFORE)
void = ShareCodeRevoked(reason="asked")

spec = Spec(name="grader", url="http://127.0.0.1:9", info={"of": "class"}, oauth_client_id="service-grader")
register, registered = RegisterService(spec=spec), ServiceRegistered(spec=spec)
removed = ServiceRemoved(reason="asked")

Case = tuple[Decider[Any, Any, Any], list[Event], Command, Any]

CASES: list[Case] = [
    (group.decider, [], create, [created]),
    (group.decider, [], CreateGroup(name="class"), [GroupCreated(name="class", properties={})]),
    (group.decider, [], SetProperties(properties={}), NotFound),
    (group.decider, [], DeleteGroup(), NotFound),
    (group.decider, [created], create, AlreadyExists),
    (group.decider, [created], SetProperties(properties={"year": 2}), [regrouped]),
    (group.decider, [created], SetProperties(properties={"year": 1}), NOTHING),
    (group.decider, [created, regrouped], SetProperties(properties={}), [PropertiesSet(properties={})]),
    (group.decider, [created, regrouped], SetProperties(properties={"year": 2}), NOTHING),
    (group.decider, [created], DeleteGroup(reason="configuration"), [GroupDeleted(reason="configuration")]),
    (group.decider, [created, ungrouped], DeleteGroup(), NotFound),
    (group.decider, [created, ungrouped], create, [created]),
    (member.decider, [], add, [added]),
    (member.decider, [], RemoveMember(), NOTHING),
    (member.decider, [added], add, NOTHING),
    (member.decider, [added], AddMember(group="g1", user="u1", source="login"), NOTHING),
    (member.decider, [added], RemoveMember(), [left]),
    (member.decider, [added, left], RemoveMember(), NOTHING),
    (member.decider, [added, left], add, [added]),
    (role.decider, [], define(), [defined()]),
    (role.decider, [], drop, NOTHING),
    (role.decider, [defined()], define(), NOTHING),
    (role.decider, [defined()], define("users"), [defined("users")]),
    (role.decider, [defined()], drop, [dropped]),
    (role.decider, [defined(), dropped], drop, NOTHING),
    (role.decider, [defined(), dropped], define(), [defined()]),
    (grant.decider, [], grant_by("login"), [granted_by("login")]),
    (grant.decider, [], withdraw, NOTHING),
    (grant.decider, [granted_by("login")], grant_by("login"), NOTHING),
    (grant.decider, [granted_by("login")], grant_by("configuration"), [granted_by("configuration")]),
    (grant.decider, [granted_by("configuration")], grant_by("configuration"), NOTHING),
    (grant.decider, [granted_by("configuration")], grant_by("login"), NOTHING),
    (grant.decider, [granted_by("login"), granted_by("configuration")], grant_by("login"), NOTHING),
    (grant.decider, [granted_by("login")], withdraw, [withdrawn]),
    (grant.decider, [granted_by("login"), withdrawn], withdraw, NOTHING),
    (grant.decider, [granted_by("configuration"), withdrawn], grant_by("login"), [granted_by("login")]),
    (share.decider, [], share_of("b", "a", "b"), [shared_as("a", "b")]),
    (share.decider, [], share_of(), Invalid),
    (share.decider, [], ShareServer(server="s1", scopes=("a",), at=BEFORE), Invalid),
    (share.decider, [], ShareServer(server="s1", user="u2", group="g1", scopes=("a",), at=BEFORE), Invalid),
    (share.decider, [], RevokeShare(), NOTHING),
    (share.decider, [shared_as("a", "b")], share_of("a"), NOTHING),
    (share.decider, [shared_as("a")], msgspec.structs.replace(share_of("b"), at=LATER), [shared_as("a", "b")]),
    (share.decider, [shared_as("b")], share_of("c", "a"), [shared_as("a", "b", "c")]),
    (share.decider, [shared_as("a")], share_of(), Invalid),
    (share.decider, [shared_as("a", "b")], RevokeShare(), [unshared]),
    (share.decider, [shared_as("a", "b")], RevokeShare(scopes=("a", "b", "c")), [unshared]),
    (share.decider, [shared_as("a", "b")], RevokeShare(scopes=("a",)), [shared_as("b")]),
    (share.decider, [shared_as("a", "b")], RevokeShare(scopes=("c",)), NOTHING),
    (share.decider, [shared_as("a"), unshared], RevokeShare(), NOTHING),
    (share.decider, [shared_as("a"), unshared], share_of("b"), [shared_as("b")]),
    (share_code.decider, [], issue, [issued]),
    (share_code.decider, [], use, NotFound),
    (share_code.decider, [], RevokeShareCode(), NotFound),
    (share_code.decider, [issued], issue, AlreadyExists),
    (share_code.decider, [issued], use, [used]),
    (share_code.decider, [issued, used], use, [used]),
    (share_code.decider, [issued], UseShareCode(user="u2", at=THEN), NotFound),
    (share_code.decider, [issued], UseShareCode(user="u2", at=LATER), NotFound),
    (share_code.decider, [issued], RevokeShareCode(reason="expired"), [ShareCodeRevoked(reason="expired")]),
    (share_code.decider, [issued, void], use, NotFound),
    (share_code.decider, [issued, void], RevokeShareCode(), NotFound),
    (service.decider, [], register, [registered]),
    (service.decider, [], RemoveService(), NotFound),
    (service.decider, [registered], register, AlreadyExists),
    (service.decider, [registered], RemoveService(), [removed]),
    (service.decider, [registered, removed], RemoveService(), NotFound),
    (service.decider, [registered, removed], register, [registered]),
]
DECIDERS = [
    group.decider,
    member.decider,
    role.decider,
    grant.decider,
    share.decider,
    share_code.decider,
    service.decider,
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


@pytest.mark.parametrize("decider", DECIDERS, ids=lambda decider: decider.name)
def test_the_table_holds_every_command_in_every_state(decider: Any) -> None:
    tested = {(type(after(decider, history)), type(command)) for each, history, command, _ in CASES if each is decider}
    assert tested == set(product(get_args(decider.states), get_args(decider.commands)))


@pytest.mark.parametrize(
    ("decider", "event"),
    [
        (group.decider, created),
        (member.decider, added),
        (grant.decider, granted_by("login")),
        (role.decider, defined("users")),
        (share.decider, shared_as("a")),
        (share_code.decider, issued),
        (service.decider, registered),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_all_that_an_event_says_is_remembered(decider: Any, event: Event) -> None:
    state: Any = after(decider, [event])
    assert {name: getattr(state, name) for name in event.__struct_fields__} == {
        name: getattr(event, name) for name in event.__struct_fields__
    }


def test_new_properties_replace_the_old_and_leave_the_name() -> None:
    assert after(group.decider, [created, regrouped]) == group.Group(name="class", properties={"year": 2})


def test_a_share_code_counts_its_uses_and_keeps_the_last() -> None:
    last = ShareCodeUsed(user="u3", at=LATER)
    state = after(share_code.decider, [issued, used, last])
    assert state == share_code.ShareCode(
        server="s1", hash="sha256:1", scopes=("access:servers",), expires_at=THEN, uses=2, used_at=LATER
    )


def test_a_code_that_was_revoked_and_issued_again_was_never_used() -> None:
    assert after(share_code.decider, [issued, used, void, issued]) == after(share_code.decider, [issued])


scopes = st.lists(st.sampled_from("abc"), max_size=3).map(tuple)


@whatever(
    st.lists(
        st.builds(
            ShareServer, server=st.just("s1"), group=st.just("g1"), scopes=scopes.filter(bool), at=st.just(BEFORE)
        )
    )
)
def test_a_share_holds_what_was_ever_granted_sorted_and_once(grants: list[ShareServer]) -> None:
    state: share.ShareState = share.NoShare()
    for command in grants:
        state = after(share.decider, share.decide(state, command), state)
    found = state.scopes if isinstance(state, share.Share) else ()
    assert found == tuple(sorted({scope for command in grants for scope in command.scopes}))


@whatever(scopes.filter(bool), scopes.filter(bool))
def test_a_share_never_holds_what_was_taken_back(granted: tuple[str, ...], taken: tuple[str, ...]) -> None:
    state = given(share.decider, shared_as(*sorted(set(granted)))).state
    state = after(share.decider, share.decide(state, RevokeShare(scopes=taken)), state)
    assert set(getattr(state, "scopes", ())) == set(granted) - set(taken)
    assert isinstance(state, share.Share) == bool(set(granted) - set(taken))


def test_no_two_things_share_an_id() -> None:
    """Names of roles may look like parts of an id."""
    names = ["a", "a.group", "group.a", "a.group.a", "group"]
    grants = {grant_id(role, kind, holder) for role, kind, holder in product(names, get_args(Kind), names)}
    assert len(grants) == len(names) ** 2 * len(get_args(Kind))
    assert member_id("g1", "u1") != member_id("u1", "g1")
    assert share_id("s1", "u1") != share_id("s1", "u2")
