"""The routes of HAProxy: what is asked for becomes entries of its map, and the other way round."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress

import structlog

from hubbub_proxy_sync.proxies.haproxy import entries, keys
from hubbub_proxy_sync.proxies.haproxy.entries import Upstream
from hubbub_proxy_sync.proxies.haproxy.listing import Listing
from hubbub_proxy_sync.proxies.haproxy.names import Names, needed
from hubbub_proxy_sync.proxies.haproxy.runtime import LONGEST, Runtime, chunks
from hubbub_proxy_sync.proxies.proxy import Failures, ProxyRoute, ProxyUnavailable, RouteRefused

log = structlog.get_logger()

#: Doubles that are removed one by one: for each, HAProxy walks through the map.
MANY = 100
#: Seconds after which a page of changes is given up: we may have been stopped in the middle of it.
STALE = 2.0
#: How many characters of a question are not the entry's own.
_AROUND = 64
#: What HAProxy says of a key that it has not.
_MISSING = "not found"
Item = tuple[str, str]


class Routing:
    """*in_one_form*: that of the proxy. *secure*: whether servers are told by certificates of our own authorities.

    One change or look at a time: what a look has found is true until the next change of ours.
    """

    def __init__(self, runtime: Runtime, in_one_form: Callable[[str], str], hub_url: str) -> None:
        self.secure = False
        self.https = True
        self._runtime = runtime
        self._in_one_form = in_one_form
        self._hub_url = hub_url
        self._listing = Listing()
        self._names = Names()
        self._alone = asyncio.Lock()

    # Looking --------------------------------------------------------------------------------

    async def all(self) -> dict[str, ProxyRoute]:
        """Ours, by routespec. The target of one whose upstream has moved is the address where it was."""
        async with self._alone:
            await self._look()
            if not self._listing.fallback:
                with suppress(RouteRefused):
                    await self._set_fallback()
            routes = dict(self._listing.routes)
            if self._names.known:
                routes |= self._moved(routes)
            return routes

    async def refresh_names(self) -> None:
        """Look the names of upstreams up again."""
        named = {entries.address_of(value)[0] for value in self._values()}
        await self._names.refresh(named - {""})

    def _values(self) -> list[str]:
        return [*self._listing.values.values(), *filter(None, [self._listing.fallback])]

    def _moved(self, routes: dict[str, ProxyRoute]) -> dict[str, ProxyRoute]:
        found = {}
        for key, value in self._listing.values.items():
            name, address = entries.address_of(value)
            if self._names.has_moved(name, address):
                route = routes[keys.routespec_of(key)]
                found[route["routespec"]] = ProxyRoute({**route, "target": entries.at_address(value)})
        return found

    async def _look(self) -> None:
        self._listing.read(await self._runtime.show())
        if self._listing.doubles:
            log.warning("proxy.doubles", entries=len(self._listing.doubles))
            if len(self._listing.doubles) < MANY:
                for chunk in _chunked([(place, "") for place in self._listing.doubles]):
                    await self._runtime.delete(f"#{place}" for place, _ in chunk)
            else:
                await self._runtime.replace(self._listing.kept())
            self._listing.read(await self._runtime.show())

    # Changing -------------------------------------------------------------------------------

    async def change(self, wanted: Sequence[ProxyRoute], unwanted: Sequence[str]) -> Failures:
        """As `Proxy.change_routes`. Raises ValueError for what is no routespec."""
        failed: Failures = {}
        items: dict[str, tuple[str, str]] = {}
        found = await self._names.look_up({entries.name_of(route["target"]) for route in wanted} - {""})
        for route in wanted:
            key = keys.key_of(self._in_one_form(route["routespec"]))
            try:
                items[key] = route["routespec"], self._entry(key, route, found)
            except RouteRefused as error:
                failed[route["routespec"]] = error
        gone = {keys.key_of(self._in_one_form(spec)): spec for spec in unwanted}
        async with self._alone:
            try:
                refused = await self._change(
                    {key: value for key, (_, value) in items.items()}, gone.keys() - items.keys()
                )
            except ProxyUnavailable as error:
                self._listing.forget()
                return failed | dict.fromkeys([spec for spec, _ in items.values()] + list(gone.values()), error)
        specs = gone | {key: spec for key, (spec, _) in items.items()}
        return failed | {specs[key]: RouteRefused(f"HAProxy: {reason}") for key, reason in refused.items()}

    async def _change(self, wanted: dict[str, str], unwanted: Iterable[str]) -> dict[str, str]:
        """Why not, by key."""
        unwanted = set(unwanted)
        has = self._listing
        if not has.is_current or not unwanted <= has.values.keys():
            await self._look()
        else:
            # What is sent to one that is stopped it does when it goes on, if that is minutes later.
            await self._runtime.check()
        has.forget()  # until the end: we may be interrupted, or not be answered
        new = [item for item in wanted.items() if item[0] not in has.values and item[0] not in has.foreign]
        old = [item for item in wanted.items() if item[0] in has.values or item[0] in has.foreign]
        ours = [(key, "") for key in unwanted if key in has.values]
        refused = await self._in_chunks(new, self._runtime.add, self._add_one)
        refused |= await self._in_chunks(old, self._runtime.set, self._set_one)
        refused |= await self._in_chunks(ours, self._delete, self._delete_one)
        for key, value in wanted.items():
            if key not in refused:
                has.put(key, value)
        for key, _ in ours:
            if key not in refused:
                has.drop(key)
        has.is_current = True
        return refused

    async def _in_chunks(
        self,
        items: Sequence[Item],
        together: Callable[[Sequence[Item]], Awaitable[str]],
        alone: Callable[[Item], Awaitable[str]],
    ) -> dict[str, str]:
        """Many with one question; if anything is wrong with one of them, each again with a question of its own."""
        refused: dict[str, str] = {}
        began = time.monotonic()
        for chunk in _chunked(items):
            if time.monotonic() - began > STALE:
                raise ProxyUnavailable("it took too long: what is wanted may be something else by now")
            if len(chunk) == 1 or await together(chunk):
                refused |= {item[0]: reason for item in chunk if (reason := await alone(item))}
        return refused

    async def _add_one(self, item: Item) -> str:
        """It may have been among those that were added."""
        reason = await self._runtime.set([item])
        return await self._runtime.add([item]) if _MISSING in reason else reason

    _set_one = _add_one

    async def _delete(self, items: Sequence[Item]) -> str:
        return await self._runtime.delete(key for key, _ in items)

    async def _delete_one(self, item: Item) -> str:
        reason = await self._delete([item])
        return "" if _MISSING in reason else reason

    def _entry(self, key: str, route: ProxyRoute, found: dict[str, str]) -> str:
        is_hub = bool(route["data"].get("hub"))
        value = entries.entry(self._reached(route["target"], found), route["target"], route["data"], hub=is_hub)
        if len(value) + len(key) + _AROUND > LONGEST:
            raise RouteRefused("its name and data are too long for HAProxy")
        return value

    def _reached(self, target: str, found: dict[str, str]) -> Upstream:
        upstream = Upstream.of(target)
        if upstream.scheme == "https" and not self.https:
            raise RouteRefused(f"{target}: this machine has no certificates of authorities to check it by")
        if upstream.address:
            if upstream.scheme == "https" and not self.secure:
                raise RouteRefused(f"{target}: HAProxy cannot check the certificate of an address, only of a name")
            return upstream
        address = needed(upstream.name, found)
        return Upstream(upstream.scheme, address, upstream.port, upstream.name, upstream.path)

    async def _set_fallback(self) -> None:
        """Whatever has no route is the hub's, as long as there is a hub."""
        found = await self._names.look_up({entries.name_of(self._hub_url)} - {""})
        item = (keys.FALLBACK, entries.entry(self._reached(self._hub_url, found), self._hub_url, {}, hub=True))
        if reason := await self._add_one(item):
            log.warning("proxy.no_fallback", error=reason)
        self._listing.forget()

    async def follow_hub(self) -> None:
        """If the name of the hub leads elsewhere now, so does what has no route."""
        async with self._alone:
            if self._listing.fallback and self._names.has_moved(*entries.address_of(self._listing.fallback)):
                await self._set_fallback()


def _chunked(items: Sequence[Item]) -> Iterable[list[Item]]:
    return chunks((len(key) + len(value) + _AROUND, (key, value)) for key, value in items)
