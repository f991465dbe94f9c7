"""What of a vault goes with an earlier moment than its own: what somebody chose or knows, not what was so later."""

from collections.abc import Collection, Sequence
from typing import Any

from hubbub.keeping.snapshot import Connection
from hubbub.views import ACCOUNTS, SERVERS, USERS, View

#: Of whom the vault has what, by the first word of its key.
_WHOSE: dict[str, View] = {
    "options": SERVERS,
    "request": SERVERS,
    "state": SERVERS,
    "auth_state": USERS,
    "user_info": USERS,
    "password": ACCOUNTS,
}
#: What is true of one attempt alone: of a server that something has happened to since then, it is another's.
_OF_AN_ATTEMPT = frozenset({"request", "state"})


async def fitting(
    connection: Connection, later: Collection[str], rows: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Those *rows* of a vault that are good for the views as they are in the database now.

    *later*: streams that were changed after this moment, and before the vault was read.
    """
    there: dict[str, set[str]] = {}
    for view in {*_WHOSE.values()}:
        found = await connection.fetch(f"select id from {view.table}")
        there[view.table] = {row["id"] for row in found}
    return [row for row in rows if _stays(row["key"], there, later)]


def _stays(key: str, there: dict[str, set[str]], later: Collection[str]) -> bool:
    kind, _, rest = key.partition(":")
    if (view := _WHOSE.get(kind)) is None:
        return True
    id = next((id for id in (rest, rest.rpartition(":")[0]) if id in there[view.table]), None)
    return id is not None and not (kind in _OF_AN_ATTEMPT and view.stream(id) in later)
