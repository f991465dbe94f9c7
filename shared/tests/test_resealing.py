"""The house's key is changed while people are there."""

import asyncpg
import pytest
from cryptography.fernet import Fernet, InvalidToken

from hubbub.resealing import reseal
from hubbub.testing.postgres import Database
from hubbub.vault import Vault


async def test_an_old_key_opens_nothing_any_more_and_nothing_is_lost(database: Database, monkeypatch) -> None:
    monkeypatch.setattr("hubbub.resealing.AT_ONCE", 2)  # several rounds
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    people, vault = [f"p{n}" for n in range(5)], Vault(old)
    connection = await asyncpg.connect(database.owner_dsn)
    for person in people:
        await connection.execute("insert into person_keys values ($1, $2)", person, vault.invent(person))
    sealed = {person: vault.seal(person, f"secret of {person}") for person in people}
    assert await reseal(database.owner_dsn, f"{new};{old}") == 5
    now = Vault(new)
    await now.load(connection, people)
    assert {person: now.open(person, sealed[person]) for person in people} == {p: f"secret of {p}" for p in people}
    with pytest.raises(InvalidToken):
        await Vault(old).load(connection, people)
    await connection.close()
