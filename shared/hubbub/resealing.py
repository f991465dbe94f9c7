"""The house's key changed: everything that hangs on an older one is sealed anew, so that it can be thrown away.

People's own keys are all that is sealed with it; what is kept of them is sealed with theirs.
"""

import asyncpg

from hubbub.vault import Vault

AT_ONCE = 500


async def reseal(dsn: str, vault_keys: str) -> int:
    """How many people's keys were sealed anew with the first of *vault_keys*. Others may write meanwhile.

    Each one is changed only if nobody else has; running it again does no harm.
    """
    vault, sealed, last = Vault(vault_keys), 0, ""
    connection = await asyncpg.connect(dsn)
    try:
        while rows := await connection.fetch(_SOME, last, AT_ONCE):
            last = rows[-1]["person"]
            changed = [(row["person"], row["key"], vault.resealed(row["key"])) for row in rows]
            await connection.executemany(_CHANGE, changed)
            sealed += len(changed)
        return sealed
    finally:
        await connection.close()


_SOME = "select person, key from person_keys where person > $1 order by person limit $2"
_CHANGE = "update person_keys set key = $3 where person = $1 and key = $2"
