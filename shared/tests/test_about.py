"""Whom and what events are about, also where they do not say so themselves."""

from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from cryptography.fernet import Fernet

from hubbub.about import about
from hubbub.domain.grant import GrantRole, WithdrawRole
from hubbub.domain.group import CreateGroup, DeleteGroup
from hubbub.domain.member import AddMember, RemoveMember
from hubbub.domain.message import Command
from hubbub.domain.route import AddRoute, RemoveRoute
from hubbub.domain.server_messages import CreateServer, DeleteServer
from hubbub.domain.service import RegisterService, RemoveService, Spec
from hubbub.domain.session import CloseSession, OpenSession
from hubbub.domain.share import RevokeShare, ShareServer
from hubbub.domain.share_code import IssueShareCode, RevokeShareCode, UseShareCode
from hubbub.domain.token import IssueToken, RevokeToken
from hubbub.eventlog import Context, Recorded, read_since
from hubbub.testing.postgres import Database
from hubbub.transaction import Transaction
from hubbub.vault import Vault
from hubbub.views import (
    GRANTS,
    GROUPS,
    MEMBERS,
    ROUTES,
    SERVERS,
    SERVICES,
    SESSIONS,
    SHARE_CODES,
    SHARES,
    TOKENS,
    View,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2027, 1, 1, tzinfo=UTC)
U, S, G = "the-user", "the-server", "the-group"

#: Of each stream: its id, what makes it, what ends it, and what both are about besides the id.
STORIES: list[tuple[View, str, Command, Command, set[str]]] = [
    (SERVERS, S, CreateServer(user=U, name="lab"), DeleteServer(), {U}),
    (SERVERS, S, CreateServer(user="", name="culler"), DeleteServer(), {"service:culler"}),
    (TOKENS, "t", IssueToken(user=U, hash="h", server=S), RevokeToken(), {U, S}),
    (TOKENS, "t", IssueToken(user="", hash="h", service="culler"), RevokeToken(), {"service:culler"}),
    (SESSIONS, "s", OpenSession(user=U, hash="h", address="", expires_at=LATER), CloseSession(), {U}),
    (ROUTES, f"p.{S}", AddRoute(proxy="p", server=S, attempt=1, target="http://x"), RemoveRoute(), {S}),
    (GROUPS, G, CreateGroup(name="staff"), DeleteGroup(), set()),
    (MEMBERS, f"{G}.{U}", AddMember(group=G, user=U), RemoveMember(), {G, U}),
    (GRANTS, "r/user/u", GrantRole(role="r", kind="user", holder=U, source="x"), WithdrawRole(reason="x"), {U}),
    (SHARES, f"{S}.{U}", ShareServer(server=S, user=U, scopes=("a",), at=NOW), RevokeShare(), {S, U}),
    (SHARE_CODES, "c", IssueShareCode(server=S, hash="h", scopes=(), expires_at=LATER), RevokeShareCode(), {S}),
    (SERVICES, "v", RegisterService(spec=Spec(name="culler")), RemoveService(), {"service:culler"}),
]


@pytest.mark.parametrize(("view", "id", "makes", "ends", "names"), STORIES)
def test_the_first_event_of_a_stream_and_the_last_are_about_the_same(
    view: View, id: str, makes: Command, ends: Command, names: set[str]
) -> None:
    decider, before = view.decider, view.decider.initial
    for command in (makes, ends):
        [event] = decider.decide(before, command)
        after = decider.evolve(before, event)
        found = about(decider.name, id, event, before, after, "user:root")
        assert set(found) == {id, *names, "by:user:root"}
        assert found[0] == id
        assert len(found) == len(set(found))
        before = after


def test_an_event_may_be_about_more_than_its_stream() -> None:
    decider = SHARE_CODES.decider
    [issued] = decider.decide(decider.initial, IssueShareCode(server=S, hash="h", scopes=(), expires_at=LATER))
    state = decider.evolve(decider.initial, issued)
    [used] = decider.decide(state, UseShareCode(user=U, at=NOW))
    found = about("share_code", "c", used, state, decider.evolve(state, used), "")
    assert found == ("c", U, S)


async def test_it_is_kept_beside_the_event_and_in_order(database: Database) -> None:
    """Of several events of one command, each is about what it finds; odd names stay whole."""
    connection = await asyncpg.connect(database.api_dsn)
    vault = Vault(Fernet.generate_key().decode())

    async def body(tx: Transaction) -> None:
        tx.welcome(U)
        await tx.act(GROUPS, G, CreateGroup(name="staff"))
        await tx.act(MEMBERS, f"{G}.{U}", AddMember(group=G, user=U))

    async with connection.transaction():
        tx = await Transaction.begin(connection, vault)
        await tx.run(body, Context.of("service:two words, and a 'quote'"))
        await tx.end()
    log: list[Recorded] = await read_since(connection, 0)
    actor = "by:service:two words, and a 'quote'"
    assert [record.about for record in log] == [(G, actor), (f"{G}.{U}", U, G, actor)]
    rows: list[Any] = await connection.fetch("select subject, position, type from subjects order by position, subject")
    expected = sorted((record.position, subject, record.type) for record in log for subject in record.about)
    assert [(row["position"], row["subject"], row["type"]) for row in rows] == expected
    await connection.close()
