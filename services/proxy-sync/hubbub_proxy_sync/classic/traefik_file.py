"""The table of Traefik's provider of files: read again once others have changed it, written once for many routes."""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from tornado.httpclient import HTTPClientError

from hubbub import public_tls
from hubbub_proxy_sync.classic.rules import rule
from hubbub_proxy_sync.classic.table_file import Signature, Table, signature
from hubbub_proxy_sync.proxies.proxy import Overtaken, ProxyRoute

#: A middleware that nothing uses: which of these Traefik knows tells what it has loaded.
MARK = "hubbub-"
#: Seconds between questions whether it has, at first and at last.
_SOON, _LATE = 0.02, 0.3


class Watched:
    """Before the class itself."""

    dynamic_config: Table
    dynamic_config_handler: Any
    _base: Table
    _seen: Signature | None = None
    _listed: Signature | None = None
    _shown: str | None = None
    _version = 0
    #: Of what the file holds, and of what Traefik has loaded.
    _known, _effective = 0, 0
    #: Whether the file lacks by what Traefik is asked.
    _is_bare = False

    # Routes ---------------------------------------------------------------------------------

    async def add_route(self, routespec: str, target: str, data: Mapping[str, Any]) -> None:
        await self.change_routes([ProxyRoute(routespec=routespec, target=target, data=dict(data))], [])

    async def delete_route(self, routespec: str) -> None:
        await self.change_routes([], [routespec])

    async def change_routes(self, wanted: Sequence[ProxyRoute], unwanted: Sequence[str]) -> None:
        """Returns when Traefik has all of them. Raises Overtaken: whoever has written the file since it was listed
        may have taken out what is to be put in here, and it may be somebody else's by now.
        """
        me: Any = self
        if me._start_future and not me._start_future.done():  # noqa: SLF001
            await me._start_future  # noqa: SLF001
        async with me.mutex:
            self._reread()
            if self._listed not in (None, self._seen):
                raise Overtaken("the file has been written since it was listed")
            for route in wanted:
                self._put(me.validate_routespec(route["routespec"]), route["target"], route["data"])
            for spec in unwanted:
                self._drop(*me._keys_for_route(me.validate_routespec(spec)))  # noqa: SLF001
            try:
                self._persist_dynamic_config()
            except BaseException:
                self._seen = None  # it is not what we have here
                raise
            if self._listed is not None:
                self._listed = self._seen
            version = self._version
        await self._loaded(version)

    def listed(self) -> None:
        """What is changed from now on was worked out from the file as it was read last."""
        self._listed = self._seen

    async def _get_jupyterhub_dynamic_config(self) -> Table:
        self._reread()
        found: Table = self.dynamic_config["jupyterhub"]
        return found

    def _put(self, routespec: str, target: str, data: Mapping[str, Any]) -> None:
        me: Any = self
        ours, theirs = me._dynamic_config_for_route(routespec, target, dict(data))  # noqa: SLF001
        for part in ("routers", "services"):
            self.dynamic_config["http"][part].update(ours["http"][part])
        self.dynamic_config["jupyterhub"]["routes"].update(theirs["routes"])

    def _drop(self, traefik_keys: Sequence[Sequence[str]], jupyterhub_keys: Sequence[Sequence[str]]) -> None:
        for keys in (*traefik_keys, *(["jupyterhub", *keys] for keys in jupyterhub_keys)):
            place = self.dynamic_config
            for key in keys[:-1]:
                place = place.get(key, {})
            place.pop(keys[-1], None)

    def forget_routes(self) -> None:
        """Drop those that an earlier Traefik had: what listens there now may be somebody else's."""
        self._reread()
        table = self.dynamic_config
        for route in table["jupyterhub"]["routes"].values():
            table["http"]["routers"].pop(route["router"], None)
            table["http"]["services"].pop(route["service"], None)
        table["jupyterhub"]["routes"] = {}

    # The file -------------------------------------------------------------------------------

    async def _setup_traefik_dynamic_config(self) -> None:
        self._reread()
        http = self.dynamic_config["http"]
        http["routers"].pop("route_api", None)
        http.get("middlewares", {}).pop("auth_api", None)
        self.dynamic_config.get("tls", {}).get("stores", {}).pop("default", None)
        await super()._setup_traefik_dynamic_config()  # type: ignore[misc]

    async def _apply_dynamic_config(self, table: Table, _: Any = None) -> None:
        """Only the beginning comes here: what is to be there besides routes."""
        me: Any = self
        async with me.mutex:
            self._base = _without_routes(table)
            while True:
                self._seen = self._signature()
                with suppress(Overtaken):
                    return self._persist_dynamic_config()

    async def _wait_for_static_config(self) -> None:
        """For Traefik's API, which is one of the routes in the file: nobody else puts it back if that is wiped now."""
        waiting = asyncio.ensure_future(super()._wait_for_static_config())  # type: ignore[misc]
        try:
            while not (await asyncio.wait({waiting}, timeout=_LATE))[0]:
                await self._keep_beginning()
            await waiting
        finally:
            waiting.cancel()

    async def _keep_beginning(self) -> None:
        me: Any = self
        async with me.mutex:
            self._reread()
            if self._is_bare and hasattr(self, "_base"):
                with suppress(Overtaken):
                    self._persist_dynamic_config()

    def check(self) -> None:
        """Raises Overtaken if the file is not the one that was read."""
        if self._seen != self._signature():
            raise Overtaken("somebody else has written the file just now")

    def _persist_dynamic_config(self) -> None:
        """Raises Overtaken."""
        self.check()  # for ways to write it that do not
        http = self.dynamic_config["http"]
        kept = {name: value for name, value in http.get("middlewares", {}).items() if not name.startswith(MARK)}
        self._version = max(self._version + 1, time.time_ns())
        http["middlewares"] = {**kept, f"{MARK}{self._version}": {"addPrefix": {"prefix": "/hubbub"}}}
        super()._persist_dynamic_config()  # type: ignore[misc]
        self._known, self._is_bare = self._version, False
        self._seen = getattr(self.dynamic_config_handler, "written", ()) or self._signature()
        self._shown = self._certificates()

    def _reread(self) -> None:
        me: Any = self
        now = self._signature()
        if now and now == self._seen:
            if self._shown not in (None, self._certificates()) and not public_tls.mismatch(me.ssl_key, me.ssl_cert):
                with suppress(Overtaken):
                    self._persist_dynamic_config()  # by which Traefik reads renewed ones
            return
        self._seen = now
        try:
            found = self.dynamic_config_handler.load()
        except Exception:  # gone, or not to be read, by whichever library reads it
            found = {}
        # Not of what is put back: nobody has written that yet, and Traefik would be waited for in vain.
        self._known = _version_of(found.get("http", {}).get("middlewares", {}))
        self._is_bare = "route_api" not in found.get("http", {}).get("routers", {})
        self.dynamic_config = self._whole(found)

    def _whole(self, found: Table) -> Table:
        """*found* with all that has to be there, and of our routes those that are whole."""
        http = found.setdefault("http", {})
        for part in ("routers", "services"):
            http.setdefault(part, {})
        if hasattr(self, "_base") and "route_api" not in http["routers"]:
            _merge(found, json.loads(json.dumps(self._base)))
        routes = found.setdefault("jupyterhub", {}).setdefault("routes", {})
        found["jupyterhub"]["routes"] = {
            alias: {**route, "target": target}
            for alias, route in routes.items()
            if (target := _target(route, http)) is not None
        }
        return found

    def _certificates(self) -> str:
        """Changes when those do that people are shown."""
        me: Any = self
        return public_tls.state_of(me.ssl_key, me.ssl_cert)

    def _signature(self) -> Signature:
        me: Any = self
        return signature(me.dynamic_config_file)

    # What Traefik has -----------------------------------------------------------------------

    async def in_effect(self) -> None:
        """See `Proxy.in_effect`: what another proxy-sync has written Traefik may have yet to load. Raises OSError,
        Overtaken.
        """
        await self._loaded(self._known)

    async def _loaded(self, version: int) -> None:
        """Wait until Traefik has that version of the file, or a later one. Raises OSError; Overtaken if somebody has
        put an older one, or none, in its place.
        """
        me: Any = self
        pause = _SOON
        async with asyncio.timeout(me.check_route_timeout):
            while self._effective < version:
                self._effective = await self._loaded_version()
                if self._effective < version:
                    self._reread()
                    if self._known < version:
                        raise Overtaken("somebody has taken away what Traefik was to load")
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.5, _LATE)

    async def _loaded_version(self) -> int:
        """0 if it does not say."""
        me: Any = self
        try:
            answer = await me._traefik_api_request(f"/api/http/middlewares?search={MARK}")  # noqa: SLF001
            return _version_of(str(each["name"]) for each in json.loads(answer.body))
        except HTTPClientError as error:
            if error.code in (404, 599):  # its own API is one of the routes that it loads
                return 0
            raise ConnectionError(f"Traefik's API answers {error.code}") from None


def _version_of(middlewares: Iterable[str]) -> int:
    """0 if none of them is our mark."""
    found = [name.removeprefix(MARK).partition("@")[0] for name in middlewares if name.startswith(MARK)]
    return max((int(each) for each in found if each.isdigit()), default=0)


def _target(route: Any, http: Table) -> str | None:
    """Where a route of ours leads; None if there is none any more, "" if it is another by now."""
    with suppress(KeyError, TypeError, IndexError, AttributeError):
        router, service = http["routers"][route["router"]], http["services"][route["service"]]
        url = service["loadBalancer"]["servers"][0]["url"]
        if router["service"] == route["service"] and router["rule"] == rule(route["routespec"]):
            return str(url)
        return ""
    return None


def _without_routes(table: Table) -> Table:
    """The beginning: what Traefik's own API is reached by, certificates, and what the operator has added."""
    ours = table["jupyterhub"]["routes"].values()
    routers, services = {route["router"] for route in ours}, {route["service"] for route in ours}
    http = {
        **table["http"],
        "routers": {name: each for name, each in table["http"]["routers"].items() if name not in routers},
        "services": {name: each for name, each in table["http"]["services"].items() if name not in services},
    }
    kept = {name: each for name, each in table.items() if name not in ("http", "jupyterhub")}
    copied: Table = json.loads(json.dumps({**kept, "http": http}))
    return copied


def _merge(table: Table, more: Table) -> None:
    """Put into *table* what is not there."""
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(table.get(name), dict):
            _merge(table[name], value)
        else:
            table.setdefault(name, value)
