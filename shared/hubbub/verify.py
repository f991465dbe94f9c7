"""Proves that the views and their histories are what the log says, and that nobody has touched the log."""

from datetime import datetime

import asyncpg

from hubbub import history
from hubbub.replay import Replayed, arrays, replay, shadow_of
from hubbub.vault import Vault
from hubbub.views import USERS, VIEWS, View


async def verify(dsn: str, vault_key: str) -> list[str]:
    """What is wrong, a sentence each; empty if all is well. Reads one snapshot, changes nothing.

    Replays from zero, or from the signed snapshot at the horizon of the archive, into shadow tables, and compares every
    view, and every history, with its shadow, row by row; checks that positions have no gap and that every hash is that
    of the stored bytes and the one before.
    """
    vault = Vault(vault_key)
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction(isolation="repeatable_read"):
            replayed = await replay(connection, vault)
            problems = replayed.problems
            for view in VIEWS.values():
                problems += await _compare(connection, view, replayed)
            for view in history.KEPT:
                problems += await _compare_history(connection, view, replayed)
            problems += await _compare_counts(connection, replayed)
        return problems
    finally:
        await connection.close()


async def rebuild(dsn: str, vault_key: str) -> list[str]:
    """Drop every row of every view and history and make it anew from the log, in one transaction; what is wrong with
    the log. Of histories, what was over at the horizon of the archive stays as it is.

    Nothing is changed if anything is. The log is locked meanwhile, so it may be done while the hub runs.
    """
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            return (await remake(connection, Vault(vault_key))).problems
    finally:
        await connection.close()


async def remake(connection: "asyncpg.Connection[asyncpg.Record]", vault: Vault) -> Replayed:
    """See `rebuild`; in the transaction that *connection* has open."""
    await connection.execute("select 1 from log_head for update")
    replayed = await replay(connection, vault)
    if not replayed.problems:
        for view in VIEWS.values():
            await connection.execute(f"delete from {view.table} where id <> all($1)", replayed.parked(view))
            await _write(connection, view, view.table, replayed)
        await _rebuild_history(connection, replayed)
    return replayed


# Views -----------------------------------------------------------------------------------


async def _compare(connection: "asyncpg.Connection[asyncpg.Record]", view: View, replayed: Replayed) -> list[str]:
    shadow = f"shadow_{view.table}"
    await connection.execute(f"create temporary table {shadow} (like {view.table} including all) on commit drop")
    await _write(connection, view, shadow, replayed)
    names = ", ".join(history.columns(view))
    different = await connection.fetch(
        f"""
        (select 'has' as what, id from (select {names} from {view.table} except select {names} from {shadow}) a)
        union all
        (select 'lacks' as what, id from (select {names} from {shadow} except select {names} from {view.table}) b)
        """
    )
    parked = replayed.parked(view)
    return sorted({f"{view.table} differs from the log at {row['id']}" for row in different if row["id"] not in parked})


async def _write(connection: "asyncpg.Connection[asyncpg.Record]", view: View, table: str, replayed: Replayed) -> None:
    """The rows of *view*, as replayed, into *table*."""
    if rows := replayed.rows(view):
        await connection.execute(view.upsert(table), *arrays(rows))


# Histories -------------------------------------------------------------------------------

_BEGINNING = "(select at from history.beginning)"


async def _compare_history(
    connection: "asyncpg.Connection[asyncpg.Record]", view: View, replayed: Replayed
) -> list[str]:
    """Since the history begins; what was so before that has begun with it."""
    names = ", ".join(history.columns(view))
    kept = f"""
        select {names}, greatest(began, {_BEGINNING}), ended from history.{view.table} where ended > {_BEGINNING}
    """
    wanted = f"""
        select {names}, greatest(began, {_BEGINNING}), ended from {shadow_of(view)} where ended > {_BEGINNING}
    """
    ids = ""
    if view in history.IDS:
        table, about = history.IDS[view]
        ids = f"union select id from (select {about} from ({wanted}) w except select {about} from {table}) c"
    different = await connection.fetch(
        f"select id from ({kept} except {wanted}) a union select id from ({wanted} except {kept}) b {ids}"
    )
    parked = replayed.parked(view)
    found = sorted({row["id"] for row in different} - set(parked))
    return [f"the history of {view.table} differs from the log at {id}" for id in found]


#: How many users there were, as the histories have it: since when, so many.
_NUMBERS = f"""
    with changes as (
        select began as at, 1 as more from {shadow_of(USERS)}
        union all select ended, -1 from {shadow_of(USERS)} where ended < 'infinity'
    ), sums as (
        select at, sum(more) as more from changes group by at having sum(more) <> 0
    )
    select at as began, (sum(more) over (order by at))::bigint as number from sums
"""


async def _compare_counts(connection: "asyncpg.Connection[asyncpg.Record]", replayed: Replayed) -> list[str]:
    if replayed.parked(USERS):
        return []  # nobody knows how many they are
    wanted = f"""
        select began, number from ({_NUMBERS}) n where began > {_BEGINNING}
        union all
        select {_BEGINNING}, coalesce((select number from ({_NUMBERS}) n where began <= {_BEGINNING}
                                       order by began desc limit 1), 0)
    """
    kept = f"""
        select greatest(began, {_BEGINNING}), number from (
            select began, number, lead(began) over (order by began) as ended from (
                select began, number, lag(number) over (order by began) as before
                from history.counts where what = 'users'
            ) c where number is distinct from before
        ) d where coalesce(ended > {_BEGINNING}, true)
    """
    different = await connection.fetchval(
        f"select exists ((({kept}) except ({wanted})) union all (({wanted}) except ({kept})))"
    )
    return ["the history of how many users there are differs from the log"] if different else []


async def _rebuild_history(connection: "asyncpg.Connection[asyncpg.Record]", replayed: Replayed) -> None:
    """From the first event on; or from the horizon on, when what was so then had begun at times that are known."""
    horizon = replayed.snapshot.horizon.at if replayed.snapshot else None
    for view in history.KEPT:
        names = ", ".join([*history.columns(view), "began", "ended"])
        parked = replayed.parked(view)
        await connection.execute(
            f"create temporary table began_{view.table} on commit drop as "
            f"select id, began from history.{view.table} where began < $1 and ended > $1 and id <> all($2)",
            horizon,
            parked,
        )
        await connection.execute(
            f"delete from history.{view.table} where id <> all($1) and ($2::timestamptz is null or ended > $2)",
            parked,
            horizon,
        )
        await connection.execute(
            f"insert into history.{view.table} ({names}) select {names} from {shadow_of(view)} where id <> all($1)",
            parked,
        )
        await connection.execute(
            f"update history.{view.table} h set began = b.began from began_{view.table} b "
            f"where h.id = b.id and h.began = $1",
            horizon,
        )
    for view, (table, about) in history.IDS.items():
        await connection.execute(
            f"insert into {table} ({about}) select distinct {about} from {shadow_of(view)} on conflict do nothing"
        )
    await connection.execute("update history.beginning set at = coalesce($1::timestamptz, '-infinity')", horizon)
    await _rebuild_counts(connection, horizon)
    await connection.execute(
        "update log_head set at = greatest(at, (select max(recorded_at) from events)) where position > 0"
    )


async def _rebuild_counts(connection: "asyncpg.Connection[asyncpg.Record]", horizon: datetime | None) -> None:
    await connection.execute(
        "delete from history.counts where what = 'users' and ($1::timestamptz is null or began >= $1)", horizon
    )
    if horizon is None:
        await connection.execute("insert into history.counts (what, began, number) values ('users', '-infinity', 0)")
    await connection.execute(
        f"insert into history.counts (what, began, number) select 'users', began, number from ({_NUMBERS}) n"
    )
    await connection.execute(SAID_BEFORE)


#: That there are as many as there were is not news, at the horizon either.
SAID_BEFORE = """
    delete from history.counts c where what = 'users' and began = (select at from history.beginning) and number = (
        select number from history.counts b where b.what = 'users' and b.began < c.began order by b.began desc limit 1)
"""
