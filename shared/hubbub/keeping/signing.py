"""The key that a hub signs its archives and backups with: made once, kept in its vault, shown to whoever checks.

It stands in the vault under a key of its own, which hangs on the house's key as those of people do: so whoever has the
database alone cannot sign, `hubbub rotate` seals it anew, and a hub that was restored signs as it did before.
"""

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hubbub.vault import Vault

#: Where the vault has it, and under whose key.
KEEPER = "signing:archive"


class Sealed(Exception):
    """The hub's signing key does not open with this vault key."""


async def key_of(connection: "asyncpg.Connection[asyncpg.Record]", vault: Vault) -> Ed25519PrivateKey:
    """The hub's key, made if there is none yet; *connection* is its owner's, and is in a transaction."""
    await connection.execute("select pg_advisory_xact_lock(7431)")
    await vault.load(connection, [KEEPER])
    sealed = await connection.fetchval("select value from vault where key = $1", KEEPER)
    if sealed is not None:
        opened = vault.open_bytes(KEEPER, sealed)
        if opened is None:
            raise Sealed
        return Ed25519PrivateKey.from_private_bytes(opened)
    key = Ed25519PrivateKey.generate()
    await connection.execute(
        "insert into person_keys (person, key) values ($1, $2) on conflict (person) do update set key = excluded.key",
        KEEPER,
        vault.invent(KEEPER),
    )
    value = vault.seal_bytes(KEEPER, key.private_bytes_raw())
    await connection.execute("insert into vault (key, value) values ($1, $2)", KEEPER, value)
    return key


def public(key: Ed25519PrivateKey) -> str:
    """What it is known by, in hexadecimal."""
    return key.public_key().public_bytes_raw().hex()


async def known(connection: "asyncpg.Connection[asyncpg.Record]", vault: Vault) -> str:
    """The hub's public key; "" if it has none, or *vault* does not open it."""
    await vault.load(connection, [KEEPER])
    sealed = await connection.fetchval("select value from vault where key = $1", KEEPER)
    opened = None if sealed is None else vault.open_bytes(KEEPER, sealed)
    return "" if opened is None else public(Ed25519PrivateKey.from_private_bytes(opened))
