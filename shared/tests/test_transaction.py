"""What several pieces of work in one batch may do to each other: nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import msgspec
import pytest
from cryptography.fernet import Fernet

from hubbub import upcast
from hubbub.domain.message import AlreadyExists, Busy, NotFound
from hubbub.domain.server_messages import CreateServer, DeleteServer, RenameServer
from hubbub.domain.server_states import Absent, Stopped
from hubbub.domain.user import CreateUser, SetAdmin
from hubbub.eventlog import COLUMNS, Context, Recorded, columns_of, recorded
from hubbub.eventlog import INSERT as INSERT_EVENTS
from hubbub.handle import Committer
from hubbub.service import end
from hubbub.testing.postgres import Database
from hubbub.transaction import Parked, Transaction
from hubbub.vault import Vault
from hubbub.verify import verify
from hubbub.views import SERVERS, USERS

KEY = Fernet.generate_key().decode()
LAB = CreateServer(user="u1", name="lab")

Body = Callable[[Transaction], Awaitable[Any]]


@pytest.fixture
async def committer(database: Database) -> AsyncIterator[Committer]:
    made = Committer(database.api_dsn, Vault(KEY))
    running = asyncio.create_task(made.run())
    yield made
    await end(running)


@pytest.fixture
async def owner(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """The database as nobody of the house may touch it."""
    connection = await asyncpg.connect(database.owner_dsn)
    yield connection
    await connection.close()


async def together(committer: Committer, *bodies: Body) -> list[Any]:
    """What comes of *bodies* in one batch."""
    return await asyncio.gather(*(committer.submit(body, Context.of("me")) for body in bodies), return_exceptions=True)


def creating(stream: str, name: str = "lab") -> Body:
    async def body(tx: Transaction) -> None:
        await tx.act(SERVERS, stream, CreateServer(user="u1", name=name))

    return body


async def streams(owner: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    return [row["stream"] for row in await owner.fetch("select stream from events order by position")]


async def test_what_was_refused_is_not_seen_by_the_next(committer: Committer, database: Database) -> None:
    async def refused(tx: Transaction) -> None:
        await tx.act(SERVERS, "s1", LAB)
        raise Busy

    async def looking(tx: Transaction) -> Any:
        return await tx.state(SERVERS, "s1")

    first, seen, made = await together(committer, refused, looking, creating("s1"))
    assert isinstance(first, Busy)
    assert seen == Absent()
    assert made is None
    assert await verify(database.api_dsn, KEY) == []


async def test_what_is_refused_after_others_were_sent_leaves_nothing_behind(
    committer: Committer, database: Database, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """A look at the database sends what others have decided; what comes after it must still be undone."""

    async def refused(tx: Transaction) -> None:
        await tx.fetch("select 1")
        await tx.act(SERVERS, "s2", CreateServer(user="u1", name="b"))
        tx.later("insert into vault (key, value) values ($1, $2)", "refused", b"")
        raise Busy

    async def vaulted(tx: Transaction) -> None:
        await tx.act(SERVERS, "s1", CreateServer(user="u1", name="a"))
        tx.later("insert into vault (key, value) values ($1, $2)", "kept", b"")

    outcomes = await together(committer, vaulted, refused, creating("s3", "c"))
    assert [type(outcome) for outcome in outcomes] == [type(None), Busy, type(None)]
    assert await streams(owner) == ["server-s1", "server-s3"]
    assert [row["key"] for row in await owner.fetch("select key from vault")] == ["kept"]
    assert await verify(database.api_dsn, KEY) == []


async def test_a_refusal_that_rests_on_what_never_happened_is_thought_over(
    committer: Committer, owner: "asyncpg.Connection[asyncpg.Record]", database: Database
) -> None:
    """Whoever is told no is told the truth, and what they asked for does not happen all the same."""
    await together(committer, creating("s1"))

    async def unless_there(tx: Transaction) -> str:
        if isinstance(await tx.state(SERVERS, "s2"), Stopped):
            raise Busy
        await tx.act(SERVERS, "s3", CreateServer(user="u1", name="other"))
        return "done"

    # The name is taken, as the database will say of the whole batch.
    taken, outcome = await together(committer, creating("s2"), unless_there)
    assert isinstance(taken, AlreadyExists)
    assert outcome == "done"
    assert await streams(owner) == ["server-s1", "server-s3"]
    assert await verify(database.api_dsn, KEY) == []


async def test_a_deleted_stream_goes_on_from_its_last_version(committer: Committer, database: Database) -> None:
    async def delete(tx: Transaction) -> None:
        await tx.act(SERVERS, "s1", DeleteServer())

    await together(committer, creating("s1"))
    await together(committer, delete)
    assert [type(each) for each in await together(committer, delete)] == [NotFound]
    assert await together(committer, creating("s1")) == [None]
    assert await verify(database.api_dsn, KEY) == []


async def test_a_view_that_is_behind_its_stream_is_brought_up_to_date_first(
    committer: Committer, database: Database, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """As after a release that did not know the view's newest shape."""

    async def make(tx: Transaction) -> None:
        tx.welcome("u1")
        await tx.act(USERS, "u1", CreateUser(user="u1", name="ada"))

    async def promote(tx: Transaction) -> Any:
        return await tx.act(USERS, "u1", SetAdmin(admin=True))

    await together(committer, make)
    before = dict((await owner.fetchrow("select state, version, position, admin from users")) or {})
    await together(committer, promote)
    await owner.execute("update users set state = $1, version = $2, position = $3, admin = $4", *before.values())
    [[state, events]] = await together(committer, promote)
    assert state.admin
    assert events == []
    [renamed] = await together(committer, lambda tx: tx.act(USERS, "u1", SetAdmin(admin=False)))
    assert not isinstance(renamed, BaseException)
    assert await verify(database.api_dsn, KEY) == []


async def append(owner: "asyncpg.Connection[asyncpg.Record]", stream: str, version: int, type: str) -> None:
    """An event as a later release might write it, with the log's head moved as it should be."""
    last = recorded(await owner.fetchrow(f"select {COLUMNS} from events order by position desc limit 1"))
    record = Recorded(
        position=last.position + 1, stream=stream, version=version, type=type, data='{"type":"Later"}', meta=last.meta,
        command_id="later", recorded_at=last.recorded_at,
    ).chained(last.hash)  # fmt: skip
    await owner.execute(INSERT_EVENTS, *columns_of([record]))
    await owner.execute("update log_head set position = $1, hash = $2", record.position, record.hash)


async def rename(committer: Committer, stream: str, name: str) -> Any:
    """As the api does it: the stream is named, to be read ahead with those of the whole batch."""
    return await committer.execute(SERVERS, stream, RenameServer(name=name, display_name=""), Context.of("me"))


@pytest.mark.parametrize("how", ["an event", "a view"])
async def test_what_a_later_release_wrote_parks_its_own_stream_alone(
    committer: Committer, database: Database, owner: "asyncpg.Connection[asyncpg.Record]", how: str
) -> None:
    await together(committer, creating("s1"), creating("s2", "b"), creating("s3", "b2"))
    if how == "an event":
        await append(owner, "server-s1", 2, "ServerPolished")
    else:
        await owner.execute("""update servers set state = '{"type":"Polished"}' where id = 's1'""")
    for name in ("c", "d"):
        parked, *others = await asyncio.gather(
            rename(committer, "s1", name), rename(committer, "s2", name), rename(committer, "s3", f"{name}2"),
            return_exceptions=True,
        )  # fmt: skip
        assert isinstance(parked, Parked | msgspec.ValidationError)
        assert [state.name for state, _ in others] == [name, f"{name}2"]
    if how == "an event":
        assert await verify(database.api_dsn, KEY) == []


async def test_an_event_says_which_version_it_is_written_in(
    committer: Committer, owner: "asyncpg.Connection[asyncpg.Record]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(upcast.UPCASTERS, ("ServerCreated", 1), lambda fields: fields)
    await together(committer, creating("s1"))
    assert await owner.fetchval("select schema_version from events") == 2
