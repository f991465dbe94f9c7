"""Failed logins: remembered for a day in a bounded table, so that guessing is slow and cannot fill anything."""

import asyncio
import ipaddress
from weakref import WeakValueDictionary

import asyncpg

#: More failures than this within the window, for one name or from one address, and nobody gets a try.
ALLOWED = 10
WINDOW_SECONDS = 300
KEPT_PER_ADDRESS = 100
KEPT = 10_000
LONGEST_NAME = 64
#: Tries of one address that are looked at at once; the others wait for their turn.
AT_ONCE = 4


class Throttle:
    """Ask `is_over`, then say what `failed`, both inside `turn`, so that a burst is counted as it goes."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def turn(self, address: str) -> asyncio.Semaphore:
        """To be held while a password from *address* is looked at."""
        turn = self._turns.get(source(address))
        if turn is None:
            turn = self._turns[source(address)] = asyncio.Semaphore(AT_ONCE)
        return turn

    async def is_over(self, name: str, address: str) -> bool:
        """Whether there were too many failures lately for this name, or from this address."""
        counted = await self._pool.fetchrow(_COUNT, name[:LONGEST_NAME], source(address), WINDOW_SECONDS)
        return counted is not None and max(counted["names"], counted["addresses"]) >= ALLOWED

    async def failed(self, name: str, address: str) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_ADD, name[:LONGEST_NAME], source(address))
            await connection.execute("delete from login_attempts where at < now() - interval '1 day'")
            await connection.execute(_BOUND_ADDRESS, source(address), KEPT_PER_ADDRESS)
            await connection.execute(_BOUND, KEPT)


def source(address: str) -> str:
    """What one person can easily have many of counts as one: the /64 network of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:LONGEST_NAME]
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


_COUNT = """
    select count(*) filter (where name = $1) as names, count(*) filter (where address = $2) as addresses
    from login_attempts where at > now() - make_interval(secs => $3) and (name = $1 or address = $2)
"""
_ADD = "insert into login_attempts (name, address, at) values ($1, $2, clock_timestamp())"
_BOUND_ADDRESS = """
    delete from login_attempts where ctid = any(array(
        select ctid from login_attempts where address = $1 order by at desc offset $2))
"""
_BOUND = """
    delete from login_attempts where ctid = any(array(
        select ctid from login_attempts order by at desc offset $1))
"""
