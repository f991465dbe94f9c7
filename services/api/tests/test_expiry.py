"""What is over is ended by the sweep, so many at a time, whoever else sweeps at the same moment."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from hubbub.domain.code import IssueCode
from hubbub.domain.session import OpenSession
from hubbub.domain.share_code import IssueShareCode
from hubbub.domain.token import IssueToken
from hubbub.eventlog import Context
from hubbub.tokens import token_hash
from hubbub.views import CODES, SESSIONS, SHARE_CODES, TOKENS
from hubbub_api.expiry import AT_ONCE, expire

BY_TEST = Context.of("test")
AGO, SOON = datetime.now(UTC) - timedelta(seconds=1), datetime.now(UTC) + timedelta(hours=1)


async def some_of_each(house, until: datetime) -> None:
    user = (await house.views.user("ada")).id

    async def body(tx: Any) -> None:
        def hash() -> str:
            return token_hash(uuid4().hex)

        await tx.know(user)
        code = IssueCode(user=user, hash=hash(), client="c", redirect_uri="/", scopes=(), session="s", expires_at=until)
        await tx.act(CODES, uuid4().hex, code)
        await tx.act(SESSIONS, uuid4().hex, OpenSession(user=user, hash=hash(), address="::1", expires_at=until))
        await tx.act(TOKENS, uuid4().hex, IssueToken(user=user, hash=hash(), expires_at=until))
        share = IssueShareCode(server="s", hash=hash(), scopes=("access:servers",), expires_at=until)
        await tx.act(SHARE_CODES, uuid4().hex, share)

    await house.committer.submit(body, BY_TEST)


async def counted(house) -> dict[str, int]:
    tables = ("codes", "sessions", "tokens", "share_codes")
    return {table: await house.pool.fetchval(f"select count(*) from {table}") for table in tables}


async def test_what_is_over_goes_and_nothing_else(house):
    await house.person("ada")
    await some_of_each(house, SOON)
    before = await counted(house)
    await some_of_each(house, AGO)
    await some_of_each(house, AGO)
    assert await expire(house.pool, house.committer) == 8
    assert await counted(house) == before
    assert await expire(house.pool, house.committer) == 0
    reasons = await house.pool.fetch("select data from events where type in ('TokenRevoked', 'SessionClosed')")
    assert all('"expired"' in row["data"] for row in reasons)


async def test_two_sweeps_at_once_end_each_thing_once(house, colleague):
    await house.person("ada")
    for _ in range(5):
        await some_of_each(house, AGO)
    ended = await asyncio.gather(*(expire(each.pool, each.committer) for each in (house, colleague)))
    assert sum(ended) == 20
    types = "('TokenRevoked', 'SessionClosed', 'CodeExpired', 'ShareCodeRevoked')"
    assert await house.pool.fetchval(f"select count(*) from events where type in {types}") == 20


async def test_a_token_of_a_server_that_does_not_run_goes(house):
    await house.person("ada")
    user = (await house.views.user("ada")).id

    async def body(tx: Any) -> None:
        await tx.know(user)
        await tx.act(TOKENS, uuid4().hex, IssueToken(user=user, hash=token_hash("x"), server="gone"))

    await house.committer.submit(body, BY_TEST)
    assert await expire(house.pool, house.committer) == 1


async def test_answers_are_kept_for_a_day(house):
    old = "select 'old' || g, ''::bytea, ''::bytea, now() - interval '25 hours' from generate_series(1, $1::int) g"
    await house.pool.execute(f"insert into answers {old}", AT_ONCE + 1)
    await house.pool.execute("insert into answers values ('new', '', '', now() - interval '23 hours')")
    await expire(house.pool, house.committer)
    assert await house.pool.fetchval("select count(*) from answers") == 2
    await expire(house.pool, house.committer)
    assert [row["key"] for row in await house.pool.fetch("select key from answers")] == ["new"]


async def test_a_stream_that_cannot_be_read_holds_up_its_own_kind_alone(house, capsys):
    await house.person("ada")
    await some_of_each(house, AGO)
    newest = "select stream, max(version) as version from events where stream like 'token-%' group by stream"
    await house.pool.execute(
        f"insert into events (position, stream, version, type, data, meta, command_id, recorded_at, hash) "
        f"select e.position + 1000, e.stream, e.version + 1, 'FromTheFuture', '{{}}', meta, command_id, recorded_at, "
        f"hash from events e join ({newest}) t using (stream, version)"
    )
    assert await expire(house.pool, house.committer) == 3
    assert (await counted(house))["tokens"] == 1
    assert "sweep.parked" in capsys.readouterr().out
