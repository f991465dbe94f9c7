"""Failed logins: remembered in a bounded table that all auths share, so that guessing is slow and cannot fill anything.

Guesses are counted for each name and for each address. A browser in which a name has been logged in by before
(see `hubbub_auth.device`) is counted by itself: whoever guesses at somebody's account from many places keeps
strangers out of it for a while, but not its owner, who comes from where they always do.
"""

import asyncio
import hmac
import ipaddress
import unicodedata
from enum import StrEnum
from weakref import WeakValueDictionary

import asyncpg

#: More guesses than this within the window, for one name, from one address or in one browser, and there is no next.
ALLOWED = 10
WINDOW_SECONDS = 300
#: What is no guess, but shown to whoever it happened to: so many of it from one address within the window.
NOTICES = 5
KEPT_PER_ADDRESS = 100
KEPT = 10_000
#: The whole table is looked at after so many failures.
LOOK_AFTER = 50
LONGEST_ADDRESS = 64
#: Tries of one address, and for one name, that are looked at at once; the others wait for their turn.
AT_ONCE = 4


class Why(StrEnum):
    """Why a login came to nothing."""

    WRONG = "wrong"
    BLOCKED = "blocked"
    NOT_ALLOWED = "not allowed"
    THROTTLED = "throttled"
    EXPIRED = "expired form"
    BUSY = "busy"
    FAULT = "fault"


#: Nobody has looked at a password.
NO_GUESSES = (Why.THROTTLED, Why.EXPIRED, Why.BUSY, Why.FAULT)


class Throttle:
    """Ask `is_over`, then say what `failed`, both inside `turn`, so that a burst is counted as it goes.

    *key*: names are kept as hashes under it, since people type passwords into the wrong field. *kept*: seconds.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", *, key: bytes, kept: float) -> None:
        self._pool = pool
        self._key = key
        self._kept = max(kept, float(WINDOW_SECONDS))
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._failures = 0

    def turn(self, address: str, device: str = "") -> asyncio.Semaphore:
        """To be held while a password from *address* is looked at. Nobody stands in the way of a known browser."""
        return self._turn(device or source(address))

    def turn_of(self, name: str, device: str = "") -> asyncio.Semaphore:
        """To be held inside of `turn`: the same for one name."""
        return self._turn(f"{device}:{self._hash(name)}")

    def _turn(self, whose: str) -> asyncio.Semaphore:
        turn = self._turns.get(whose)
        if turn is None:
            turn = self._turns[whose] = asyncio.Semaphore(AT_ONCE)
        return turn

    async def is_over(self, name: str, address: str, device: str = "") -> bool:
        """Whether there were too many guesses lately: for this name or from this address, or in this browser."""
        if device:
            counted = await self._pool.fetchval(_COUNT_DEVICE, self._hash(name), device, WINDOW_SECONDS, NO_GUESSES)
        else:
            counted = await self._pool.fetchval(_COUNT, self._hash(name), source(address), WINDOW_SECONDS, NO_GUESSES)
        return bool(counted >= ALLOWED)

    async def failed(self, name: str, address: str, *, why: str = Why.WRONG, device: str = "") -> None:
        """A guess was made at *name*."""
        await self._add(_ADD, name, address, why, device)

    async def noticed(self, name: str, address: str, why: str, *, device: str = "") -> None:
        """Something else came to nothing: no guess, and not worth a row each time."""
        await self._add(_NOTICE, name, address, why, device, WINDOW_SECONDS, NO_GUESSES, NOTICES)

    async def _add(self, statement: str, name: str, address: str, why: str, device: str, *more: object) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            added = await connection.execute(statement, self._hash(name), source(address), why, device, name, *more)
            if added.endswith(" 0"):
                return
            await connection.execute(_BOUND_ADDRESS, source(address), KEPT_PER_ADDRESS)
            if self._failures % LOOK_AFTER == 0:
                await connection.execute(_OLD, self._kept)
                await connection.execute(_BOUND, KEPT)
            self._failures += 1

    def _hash(self, name: str) -> str:
        """The same for all spellings that a directory may take for one name (RFC 4518)."""
        name = unicodedata.normalize("NFKC", name).casefold()
        return hmac.digest(self._key, f"login name {name}".encode(errors="surrogatepass"), "sha256").hex()[:32]


def source(address: str) -> str:
    """What one person can easily have many of counts as one: the /64 network of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:LONGEST_ADDRESS]
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


# Two lookups by an index of their own, which both stop when that is enough.
_COUNT = f"""
    select greatest(
        (select count(*) from (select from login_attempts where name = $1 and device = ''
            and at > now() - make_interval(secs => $3) and why <> all($4::text[]) limit {ALLOWED}) n),
        (select count(*) from (select from login_attempts where address = $2 and device = ''
            and at > now() - make_interval(secs => $3) and why <> all($4::text[]) limit {ALLOWED}) a))
"""
_COUNT_DEVICE = """
    select count(*) from login_attempts
    where name = $1 and device = $2 and at > now() - make_interval(secs => $3) and why <> all($4::text[])
"""
_VALUES = "$1, $2, clock_timestamp(), $3, $4, coalesce((select id from users where name = $5), '')"
_ADD = f"insert into login_attempts (name, address, at, why, device, user_id) values ({_VALUES})"
# Notices are few, so that they do not put guesses out of the bounds of an address.
_NOTICE = f"""
    insert into login_attempts (name, address, at, why, device, user_id) select {_VALUES}
    where not exists (select from login_attempts where name = $1 and address = $2 and why = $3
                      and at > now() - make_interval(secs => $6))
      and (select count(*) from login_attempts where address = $2 and why = any($7::text[])
           and at > now() - make_interval(secs => $6)) < $8
"""
_BOUND_ADDRESS = """
    delete from login_attempts where ctid = any(array(
        select ctid from login_attempts where address = $1 order by at desc offset $2))
"""
_OLD = "delete from login_attempts where at < now() - make_interval(secs => $1)"
_BOUND = """
    delete from login_attempts where ctid = any(array(
        select ctid from login_attempts order by at desc offset $1))
"""
