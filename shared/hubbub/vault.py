"""What must be remembered but never shown: encrypted, and keyed per person so that a person can be forgotten."""

from collections.abc import Iterable
from typing import Any, Protocol

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

#: Stands where a personal field was, once the key of its person is destroyed.
FORGOTTEN = "(forgotten)"


class UnusableKey(Exception):
    """The key is not 32 url-safe base64 bytes."""


class Fetches(Protocol):
    """The part of an asyncpg connection or pool that reading keys needs."""

    async def fetch(self, query: str, *args: Any) -> list[Any]: ...


def each(keys: str) -> list[str]:
    """Of keys with `;` between them, the first first; one that is empty if there is none."""
    return [key.strip() for key in keys.split(";") if key.strip()] or [""]


def sealer(keys: str) -> MultiFernet:
    """*keys*: one or more Fernet keys, separated by `;`; the first seals, all open."""
    try:
        return MultiFernet([Fernet(key) for key in each(keys) if key])
    except (ValueError, TypeError) as error:
        raise UnusableKey(f"not a usable key: {error}") from None


class Vault:
    """Seals and opens under the house's key, and under the key of one person.

    A person's key is made with `invent` (store what it returns in `person_keys`) and known after `load`.
    """

    def __init__(self, keys: str) -> None:
        self._house = sealer(keys)
        self._people: dict[str, Fernet] = {}

    def invent(self, person: str) -> bytes:
        """A new key for *person*, sealed for storage."""
        key = Fernet.generate_key()
        self._people[person] = Fernet(key)
        return self._house.encrypt(key)

    def resealed(self, key: bytes) -> bytes:
        """What `invent` once gave, sealed with the first of the house's keys instead of an older one."""
        return self._house.rotate(key)

    async def load(self, source: Fetches, people: Iterable[str]) -> None:
        """Learn the keys of *people* that are not known yet, in one query."""
        if missing := [person for person in set(people) if person and person not in self._people]:
            rows = await source.fetch("select person, key from person_keys where person = any($1)", missing)
            for row in rows:
                self._people[row["person"]] = Fernet(self._house.decrypt(row["key"]))

    def forget(self, person: str) -> None:
        self._people.pop(person, None)

    def knows(self, person: str) -> bool:
        return person in self._people

    def seal(self, person: str, text: str) -> str:
        return self._people[person].encrypt(text.encode()).decode()

    def open(self, person: str, text: str) -> str:
        """The text sealed for *person*, or `FORGOTTEN`. What an older event did not have yet is empty."""
        if not text:
            return ""
        key = self._people.get(person)
        return FORGOTTEN if key is None else key.decrypt(text.encode()).decode()

    def seal_bytes(self, person: str, data: bytes) -> bytes:
        return self._people[person].encrypt(data)

    def open_bytes(self, person: str, data: bytes) -> bytes | None:
        key = self._people.get(person)
        if key is None:
            return None
        try:
            return key.decrypt(data)
        except InvalidToken:
            return None
