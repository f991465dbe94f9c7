"""Which database was brought into this hub, and whether all of it."""

import hashlib

from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.moving.source import Source
from hubbub.transaction import Transaction

SECTION = "import"


class NotEmpty(Exception):
    """The hub has users of its own, or of another import."""


async def fingerprint(source: Source) -> str:
    """What a database is known by: its first user, who has an id that nobody else has."""
    rows = await source.rows("select id, cookie_id from users order by id limit 1")
    return hashlib.sha256(repr([tuple(row.values()) for row in rows]).encode()).hexdigest()[:32]


async def begin(committer: Committer, origin: str) -> bool:
    """False if all of the database of that fingerprint was brought before. Raises NotEmpty."""

    async def body(tx: Transaction) -> str:
        rows = await tx.fetch("select hash from settled where section = $1", SECTION)
        if not rows and await tx.fetch("select from users limit 1"):
            return "users"
        if not rows:
            tx.later(_MARK, SECTION, f"begun {origin}")
        return str(rows[0]["hash"]) if rows else ""

    before = await committer.submit(body, Context.of("operator"))
    state, _, known = before.partition(" ")
    if before and known != origin:
        raise NotEmpty(
            "this hub has users already, and not by an import of this database: bring the JupyterHub into a new one"
        )
    return state != "done"


async def end(committer: Committer, origin: str) -> None:
    async def body(tx: Transaction) -> None:
        tx.later(_MARK, SECTION, f"done {origin}")

    await committer.submit(body, Context.of("operator"))


_MARK = """
    insert into settled (section, hash) values ($1, $2) on conflict (section) do update set hash = excluded.hash
"""
