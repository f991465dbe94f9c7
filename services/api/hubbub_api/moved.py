"""Where proxies have been moved to: the log says that and when, the vault has it with the token that goes with it."""

from collections.abc import Sequence

import asyncpg
import msgspec

from hubbub.domain.message import Invalid, NotFound
from hubbub.domain.proxy import MoveProxy
from hubbub.route_messages import Moved, WhereMoved
from hubbub.sealed_box import seal
from hubbub.subjects import token
from hubbub.transaction import Transaction
from hubbub.vault import Fetches, Vault
from hubbub.views import PROXIES

_WHERE = "select value from vault where key = $1"
_NOWHERE = "delete from vault where key = $1"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """`id`: of the move there, "" for none. `api_url`, `auth_token`: "" for what is configured."""

    id: str = ""
    api_url: str = ""
    auth_token: str = ""


class MovedProxies:
    """Proxies go by the names that they have in subjects."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", vault: Vault) -> None:
        self._pool = pool
        self._vault = vault

    async def where(self, subject: str, payload: bytes) -> Moved:
        """Answers a proxy-sync. The token is sealed for it alone."""
        _, _, _, _, proxy = subject.split(".")
        asked = msgspec.json.decode(payload, type=WhereMoved)
        place = await self._read(self._pool, proxy)
        sealed = seal(asked.key, place.auth_token, subject) if place.auth_token else ""
        return Moved(id=place.id, api_url=place.api_url, sealed=sealed)

    async def move(self, tx: Transaction, named: str, to: Place) -> tuple[str, Place]:
        """Move the proxy that is *named*, or the only one, to a place in which "" is what it had. Returns its name, and
        where it was. Nothing happens if it is there already. Raises NotFound, Invalid.
        """
        proxy = await self._which(tx, named)
        before = await self._read(tx, proxy)
        now = Place(id=to.id, api_url=to.api_url or before.api_url, auth_token=to.auth_token or before.auth_token)
        if msgspec.structs.replace(now, id=before.id) != before:
            await self._put(tx, proxy, now)
        return proxy, before

    async def undo(self, tx: Transaction, proxy: str, id: str, before: Place) -> None:
        """It could not be moved: it is where it was *before*, unless somebody has moved it since."""
        if (await self._read(tx, proxy)).id == id:
            await self._put(tx, proxy, before)

    async def _put(self, tx: Transaction, proxy: str, place: Place) -> None:
        if place.id:
            keeper = _key(proxy)
            await self._know(tx, keeper)
            if not self._vault.knows(keeper):
                tx.welcome(keeper)
            tx.remember(keeper, keeper, msgspec.json.encode(place))
        else:
            tx.later(_NOWHERE, _key(proxy))
        await tx.act(PROXIES, proxy, MoveProxy(proxy=proxy, api_url=place.api_url))

    async def _which(self, tx: Transaction, named: str) -> str:
        joined = [row["id"] for row in await tx.fetch("select id from proxies order by number")]
        if named:
            proxy = named if named in joined else token(named)
            # As long as none has joined, nobody knows what they are called.
            if joined and proxy not in joined and not (await tx.row(PROXIES, proxy)).number:
                raise NotFound(f"No such proxy: {named[:255]}. There is {_listed(joined)}")
            return proxy
        if not joined:
            raise Invalid("No proxy has joined yet: say which one by `proxy`, the name of its proxy-sync")
        if len(joined) > 1:
            raise Invalid(f"There is more than one proxy: say by `proxy` which one of {_listed(joined)}")
        return str(joined[0])

    async def _read(self, source: Fetches, proxy: str) -> Place:
        keeper = _key(proxy)
        rows = await source.fetch(_WHERE, keeper)
        if not rows:
            return Place()
        await self._know(source, keeper)
        data = self._vault.open_bytes(keeper, rows[0]["value"])
        return Place() if data is None else msgspec.json.decode(data, type=Place)

    async def _know(self, source: Fetches, keeper: str) -> None:
        """The key as it is stored: one that was made here may have been lost with its transaction."""
        self._vault.forget(keeper)
        await self._vault.load(source, [keeper])


def _key(proxy: str) -> str:
    """Where the vault has it, and whose key that is under."""
    return f"proxy:{proxy}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
