"""The accounts in the log, and their hashes in the vault: found, made, changed and removed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, cast
from uuid import uuid4

import asyncpg

from hubbub import accounts, faults, sessions
from hubbub.accounts import vault_key
from hubbub.domain.account import (
    AccountState,
    ApproveAccount,
    MakeAccount,
    NoAccount,
    RemoveAccount,
    RequestAccount,
    SetPassword,
    UseLink,
)
from hubbub.domain.message import LimitReached, NotFound
from hubbub.eventlog import Context
from hubbub.handle import Body, Committer
from hubbub.tokens import token_hash
from hubbub.transaction import Transaction
from hubbub.vault import Vault
from hubbub.views import ACCOUNTS, View

T = TypeVar("T")

#: Accounts that wait for approval at a time.
MOST_WAITING = 500


@dataclass(frozen=True, kw_only=True)
class Found:
    """An account, as it was after the event at `position`.

    `encoded`: its hash, as it is `sealed` in the vault; empty if no password was chosen yet.
    """

    id: str
    name: str
    approved: bool
    position: int = 0
    sealed: bytes = b""
    encoded: str = ""


class Accounts:
    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", committer: Committer, vault: Vault) -> None:
        self._pool = pool
        self._committer = committer
        self._vault = vault

    # Reading ----------------------------------------------------------------------------

    async def find(self, name: str) -> Found | None:
        row = await self._pool.fetchrow(f"{_FOUND} where a.name = $1", name)
        return await self._found(row) if row else None

    async def state(self, account: str) -> AccountState:
        row = await self._pool.fetchval("select state from accounts where id = $1", account)
        return cast("AccountState", ACCOUNTS.decode_state(row)) if row else NoAccount()

    async def _found(self, row: asyncpg.Record) -> Found:
        found = Found(id=row["id"], name=row["name"], approved=row["approved"], position=row["position"])
        if row["value"] is None:
            return found
        await self._vault.load(self._pool, [found.id])
        opened = self._vault.open_bytes(found.id, row["value"])
        return replace(found, sealed=row["value"], encoded=opened.decode() if opened else "")

    # Signing up -------------------------------------------------------------------------

    async def request(self, name: str, encoded: str, *, address: str, waits: bool) -> None:
        """Somebody wants the account *name*. They have it if nobody else has and it need not wait; a name of the
        hub's users always does. Nothing is told of which it was. Raises LimitReached if too many wait.
        """
        account = uuid4().hex

        async def body(tx: Transaction) -> None:
            (found,) = await tx.fetch(_TAKEN, name)
            if waits and found["waiting"] >= MOST_WAITING:
                raise LimitReached
            must_wait = waits or found["is_user"]
            if found["is_account"] or (must_wait and found["waiting"] >= MOST_WAITING):
                return
            tx.welcome(account)
            kind = RequestAccount if must_wait else MakeAccount
            await tx.act(ACCOUNTS, account, kind(user=account, name=name, address=address))
            self._keep(tx, account, encoded)

        await self._commit(body, Context.of(f"account:{account}"))

    # By its owner -----------------------------------------------------------------------

    async def change(self, found: Found, encoded: str, *, user: str, session: str, address: str) -> bool:
        """Another password, and an end to the other sessions of *user*. False if there was another one meanwhile."""

        async def body(tx: Transaction) -> bool:
            rows = await tx.fetch("select value from vault where key = $1", vault_key(found.id))
            if [row["value"] for row in rows] != [found.sealed]:
                return False
            await tx.act(ACCOUNTS, found.id, SetPassword(address=address))
            self._keep(tx, found.id, encoded)
            await sessions.close_all(tx, user, but=session, reason="password changed", address=address)
            return True

        return await self._commit(body, Context.of(f"user:{user}"), [(ACCOUNTS, found.id)])

    async def use_link(self, account: str, link: str, encoded: str, *, address: str) -> None:
        """The password of *account* is chosen by whoever has *link*. Raises NotFound if that is no good (any more)."""

        async def body(tx: Transaction) -> None:
            await tx.act(ACCOUNTS, account, UseLink(hash=token_hash(link), at=tx.now, address=address))
            await tx.know(account)
            self._keep(tx, account, encoded)

        await self._commit(body, Context.of(f"account:{account}"), [(ACCOUNTS, account)])

    async def renew(self, found: Found, encoded: str) -> None:
        """The same password, hashed in another way; unless there is another one already."""
        sealed = self._vault.seal_bytes(found.id, encoded.encode())
        query = "update vault set value = $3 where key = $1 and value = $2"
        await self._pool.execute(query, vault_key(found.id), found.sealed, sealed)

    # By administrators ------------------------------------------------------------------

    async def approve(self, account: str, actor: str) -> None:

        async def body(tx: Transaction) -> None:
            await tx.act(ACCOUNTS, account, ApproveAccount())

        await self._commit(body, Context.of(actor), [(ACCOUNTS, account)])

    async def invite(self, name: str, actor: str, *, hours: float) -> str:
        """See `hubbub.accounts.invite`."""

        async def body(tx: Transaction) -> str:
            return await accounts.invite(tx, name, hours=hours)

        return await self._commit(body, Context.of(actor))

    async def remove(self, account: str, actor: str, reason: str) -> None:
        """Raises NotFound. Of the name and the address nothing can be read any more."""

        async def body(tx: Transaction) -> None:
            state = await tx.state(ACCOUNTS, account)
            if isinstance(state, NoAccount):
                raise NotFound
            await tx.act(ACCOUNTS, account, RemoveAccount(reason=reason))
            await accounts.shut_out(tx, account, state.name, "account removed")
            tx.destroy_key(account)

        await self._commit(body, Context.of(actor), [(ACCOUNTS, account)])

    async def _commit(self, body: Body[T], context: Context, reads: Sequence[tuple[View, str]] = ()) -> T:
        faults.point("auth.before_account")
        answer = await self._committer.submit(body, context, reads)
        faults.point("auth.after_account")
        return answer

    def _keep(self, tx: Transaction, account: str, encoded: str) -> None:
        tx.remember(vault_key(account), account, encoded.encode())


_FOUND = """
    select a.id, a.name, a.approved, a.position, v.value
    from accounts a left join vault v on v.key = 'password:' || a.id
"""
_TAKEN = """
    select exists(select from accounts where name = $1) as is_account, exists(select from users where name = $1)
        as is_user, (select count(*) from accounts where not approved) as waiting
"""
