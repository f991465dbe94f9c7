"""What becomes of the spawner's state and of the token of an attempt that is over: deleted, or kept with what is left.

The vault has the state of the attempt that counts as `state:<server>`, and that of a leftover which is no process of a
host as `state:<server>:<attempt>`: without it nobody could end it. The state of a process is on its host.
"""

from collections.abc import Sequence
from typing import Any

from hubbub.domain.message import Command, Event
from hubbub.domain.server_events import OrphanAdopted, OrphanFound, OrphanRemoved
from hubbub.domain.server_states import Held, Known, Server
from hubbub.transaction import Transaction
from hubbub.views import SERVERS
from hubbub_api.tokens import revoke_of

#: In one statement, so that nothing which this transaction does meanwhile comes in between.
_MOVE = """
    with moved as (delete from vault where key = $1 returning value)
    insert into vault (key, value) select $2, value from moved
    on conflict (key) do update set value = excluded.value
"""
_DELETE = "delete from vault where key = $1"
_END_LEASE = "delete from leases where name = $1"


def state_key(server: str, attempt: int | None = None) -> str:
    """Where the vault has the spawner's state: of the attempt that counts, or of a leftover."""
    return f"state:{server}" if attempt is None else f"state:{server}:{attempt}"


def job(server: str, attempt: int) -> str:
    """The lease of whoever is to end a leftover."""
    return f"leftover:{server}:{attempt}"


def free(tx: Transaction, server: str, attempt: int) -> None:
    """Anybody may end that leftover now, if it is still one."""
    tx.later(_END_LEASE, job(server, attempt))


async def act(tx: Transaction, server: str, command: Command) -> tuple[Any, Sequence[Event]]:
    """Decide *command* on the server (by id), and what follows from it for its secrets; its new state and events."""
    before: Server = await tx.state(SERVERS, server)
    state, events = await tx.act(SERVERS, server, command)
    if events and isinstance(before, Known) and isinstance(state, Known):
        for event in events:
            await _settle(tx, server, before, event)
        if isinstance(before, Held) and not (isinstance(state, Held) and state.attempt == before.attempt):
            await _end(tx, server, before, state, events)
    return state, events


async def _settle(tx: Transaction, server: str, before: Known, event: Event) -> None:
    match event:
        case OrphanFound() if event.reach != "process" and isinstance(before, Held) and event.attempt == before.attempt:
            await tx.fetch(_MOVE, state_key(server), state_key(server, event.attempt))
        case OrphanAdopted():
            await tx.fetch(_MOVE, state_key(server, event.attempt), state_key(server))
            free(tx, server, event.attempt)
        case OrphanRemoved():
            tx.later(_DELETE, state_key(server, event.attempt))
            free(tx, server, event.attempt)
            tokens = [left.token for left in before.leftovers if left.attempt == event.attempt and left.token]
            if getattr(before, "token", None) not in tokens:
                await revoke_of(tx, tokens, "what was left of the server is gone")
        case _:
            pass


async def _end(tx: Transaction, server: str, before: Held, state: Known, events: Sequence[Event]) -> None:
    """*before* is over. Of its secrets stays what a leftover needs, or a workload that only sleeps."""
    if any(getattr(event, "resumes", False) for event in events):
        return
    if before.token and before.token not in kept(state):
        await revoke_of(tx, [before.token], "server stopped")
    if before.token or before.holder:  # nobody ever had the others, so there is nothing of theirs
        await tx.fetch(_DELETE, state_key(server))


def kept(state: Known) -> set[str]:
    """The tokens (by id) that the server, and what is left of it, still has."""
    tokens = {getattr(state, "token", None), *(left.token for left in state.leftovers)}
    return {token for token in tokens if token}
