"""Goes with the proxy wherever it is moved (`PATCH /proxy`): the house is asked where that is, at the start, too."""

from pathlib import Path

import msgspec
import structlog

from hubbub.bus import Bus
from hubbub.route_messages import Moved, WhereMoved
from hubbub.sealed_box import Box, Unsealable
from hubbub.subjects import token
from hubbub_proxy_sync.comparing import Comparing
from hubbub_proxy_sync.proxies.proxy import Proxy, RouteRefused
from hubbub_proxy_sync.sync import Sync

log = structlog.get_logger()


class Moving:
    """`before_start`, then run `run` as a task, while the proxy starts: one that does not may have been moved.

    *mark*: a file that is there if the proxy has ever been moved. Without it, nothing waits for an answer of the house.
    """

    def __init__(self, bus: Bus, proxy: Proxy, sync: Sync, comparing: Comparing, name: str, mark: Path) -> None:
        self._bus = bus
        self._proxy = proxy
        self._sync = sync
        self._comparing = comparing
        self._subject = f"hub.rpc.moved.proxy.{token(name)}"
        self._mark = mark
        self._id: str | None = None

    async def before_start(self) -> None:
        """So that no proxy is started where it was."""
        if self._mark.exists():
            await self._settle(is_new=False)

    async def run(self) -> None:
        if self._id is None:
            await self._settle(is_new=False)
        while True:
            await self._sync.moved.wait()
            self._sync.moved.clear()
            await self._settle(is_new=True)

    async def _settle(self, *, is_new: bool) -> None:
        """Be where the house says: if that *is_new*, as soon as somebody answers there, and until then where we are."""
        box = Box()
        where = await self._bus.ask_until_answered(self._subject, WhereMoved(key=box.key), Moved, timeout=2.0)
        if where.id == (self._id or ""):
            self._id = where.id
            return
        try:
            secret = box.open(where.sealed, self._subject) if where.sealed else ""
            if is_new and not await self._proxy.answers_at(where.api_url, secret):
                raise RouteRefused(
                    f"The proxy at {where.api_url or 'its address'} does not answer, or not to this token"
                )
            await self._proxy.move(where.api_url, secret)
        except (RouteRefused, Unsealable) as error:
            log.error("proxy.not_moved", api_url=where.api_url, error=str(error))
            await self._comparing.say(where.id, str(error))
            return
        self._id = where.id
        self._remember(where)
        log.warning("proxy.moved", api_url=where.api_url)
        self._sync.refill("moved", again=True)
        self._comparing.wish(where.id)

    def _remember(self, where: Moved) -> None:
        """Where, for people; not the token."""
        self._mark.parent.mkdir(parents=True, exist_ok=True)
        self._mark.write_bytes(msgspec.json.encode({"api_url": where.api_url}))
