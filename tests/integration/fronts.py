"""Proxies as somebody knows them who goes behind our back: by their own API, socket or file."""

import asyncio
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from hubbub.free_port import free_port
from hubbub_local.services import proxy_command
from hubbub_proxy_sync.proxies.haproxy import HAProxy
from hubbub_proxy_sync.proxies.haproxy.configuration import SOCKET
from hubbub_proxy_sync.proxies.haproxy.listing import Listing
from hubbub_proxy_sync.proxies.haproxy.runtime import Runtime
from hubbub_proxy_sync.proxies.proxy import ProxyUnavailable
from hubbub_proxy_sync.proxies.site import Site

#: The name of the proxy, and of its proxy-syncs.
INSTANCE = "proxy-sync-1"


class ChpFront:
    """configurable-http-proxy, by its REST API."""

    middle = ("proxy.added", 500)
    in_steps = True

    def __init__(self) -> None:
        self.token = secrets.token_hex(8)
        self.url, self._api = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"

    @classmethod
    def of_hub(cls, data: Path) -> "ChpFront":
        """That of a whole hub."""
        made = cls()
        made.token = json.loads((data / "secrets.json").read_text())["proxy_token"]
        ports = json.loads((data / "ports.json").read_text())
        made.url, made._api = f"http://127.0.0.1:{ports['public']}", f"http://127.0.0.1:{ports['proxy']}"
        made.at(data)
        return made

    def at(self, data: Path) -> None:
        self._session = aiohttp.ClientSession(headers={"Authorization": f"token {self.token}"})

    def config(self) -> str:
        return "c.JupyterHub.proxy_class = 'configurable-http-proxy'"

    def environ(self) -> Mapping[str, str]:
        return {"HUBBUB_PROXY_API_URL": self._api, "HUBBUB_CHP_COMMAND": proxy_command()}

    async def table(self) -> dict[str, str]:
        routes = await self._routes()
        return {f"{spec.rstrip('/')}/": route["target"] for spec, route in routes.items() if route.get("jupyterhub")}

    async def put(self, spec: str, target: str, data: Mapping[str, Any]) -> None:
        await self._change("POST", spec, {**data, "target": target, "jupyterhub": True})

    async def remove(self, spec: str) -> None:
        await self._change("DELETE", spec)

    async def wipe(self) -> None:
        await self.wipe_all_but()

    async def wipe_all_but(self, *kept: str) -> None:
        """All requests in one go, which takes it a second for thousands."""
        host, port = self._api.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        specs = [spec for spec in await self._routes() if spec not in kept]
        head = f"Host: {host}\r\nAuthorization: token {self.token}\r\n"
        writer.write("".join(f"DELETE /api/routes{spec} HTTP/1.1\r\n{head}\r\n" for spec in specs).encode())
        answered = 0
        while answered < len(specs):
            answered += (await reader.readline()).startswith(b"HTTP/1.1 ")
        writer.close()

    async def put_foreign(self) -> None:
        await self._change("POST", "/theirs", {"target": "http://127.0.0.1:9"})

    async def has_foreign(self) -> bool:
        return "/theirs" in await self._routes()

    async def close(self) -> None:
        await self._session.close()

    async def _routes(self) -> dict[str, Any]:
        async with self._session.get(f"{self._api}/api/routes") as response:
            found: dict[str, Any] = json.loads(await response.read())
            return found

    async def _change(self, method: str, spec: str, body: Mapping[str, Any] | None = None) -> None:
        async with self._session.request(method, f"{self._api}/api/routes{spec}", json=body) as response:
            assert response.status in (201, 204, 404), await response.text()  # 404: it was not there


class HaproxyFront:
    """HAProxy, by its runtime socket."""

    middle = ("proxy.added", 3)  # pages of 200
    in_steps = False

    def __init__(self) -> None:
        self.token = secrets.token_hex(8)
        self.url = f"http://127.0.0.1:{free_port()}"

    def at(self, data: Path) -> None:
        self._driver = HAProxy(site=Site(name=INSTANCE, bind_url=self.url, folder=data, token=self.token))
        self._listing = Listing()
        self._runtime = Runtime(str(data / "run" / f"haproxy-{INSTANCE}" / SOCKET))

    def config(self) -> str:
        return "c.JupyterHub.proxy_class = 'haproxy'"

    def environ(self) -> Mapping[str, str]:
        return {}

    async def table(self) -> dict[str, str]:
        try:
            shown = await self._runtime.show()
        except ProxyUnavailable as error:
            raise ConnectionError(str(error)) from None
        self._listing.read(shown)  # the driver itself would put in order what it finds
        return {spec: route["target"] for spec, route in self._listing.routes.items()}

    async def put(self, spec: str, target: str, data: Mapping[str, Any]) -> None:
        await self._driver.add_route(spec, target, data)

    async def remove(self, spec: str) -> None:
        await self._driver.delete_route(spec)

    async def wipe(self) -> None:
        await self._runtime.ask(f"clear map {await self._map()}")

    async def put_foreign(self) -> None:
        await self._runtime.ask(f"add map {await self._map()} %2Ftheirs%2F theirs|127.0.0.1|9")

    async def has_foreign(self) -> bool:
        return b"theirs|127.0.0.1|9" in await self._runtime.show()

    async def close(self) -> None:
        await self._driver.close()

    async def _map(self) -> str:
        listed = (await self._runtime.ask("show map")).decode()
        [name] = [line.split("(")[1].split(")")[0] for line in listed.splitlines() if "hubbub.map)" in line]
        return name


class TraefikFront:
    """Traefik with its provider of files, by the file."""

    middle = ("proxy.before_add", 1)
    in_steps = False

    def __init__(self) -> None:
        self.token = secrets.token_hex(8)
        self.url = f"http://127.0.0.1:{free_port()}"

    def at(self, data: Path) -> None:
        self._data = data

    def config(self) -> str:
        return "c.JupyterHub.proxy_class = 'traefik_file'"

    def environ(self) -> Mapping[str, str]:
        return {}

    async def table(self) -> dict[str, str]:
        """What the file says, which Traefik has a moment later."""
        table = self._read()
        services = table.get("http", {}).get("services", {})
        found = {}
        for route in table.get("jupyterhub", {}).get("routes", {}).values():
            servers = services.get(route["service"], {}).get("loadBalancer", {}).get("servers", [{"url": ""}])
            found[route["routespec"]] = servers[0]["url"]
        return found

    async def put(self, spec: str, target: str, data: Mapping[str, Any]) -> None:
        """As another one there is."""
        table = self._read()
        routes, http = table["jupyterhub"]["routes"], table["http"]
        alias, known = next((alias, route) for alias, route in routes.items() if route["routespec"] != "/")
        old, new = known["routespec"], spec

        def renamed(found: Any) -> Any:
            return json.loads(json.dumps(found).replace(old.strip("/").split("/")[-1], new.strip("/").split("/")[-1]))

        if alias in renamed({alias: 0}) and old != new:
            raise AssertionError(f"cannot make a route {new} of {alias}")
        entry = renamed(known)
        routes |= renamed({alias: 0}) | {next(iter(renamed({alias: 0}))): {**entry, "data": dict(data)}}
        http["routers"][entry["router"]] = renamed(http["routers"][known["router"]])
        http["services"][entry["service"]] = {"loadBalancer": {"servers": [{"url": target}], "passHostHeader": True}}
        self._write(table)

    async def remove(self, spec: str) -> None:
        table = self._read()
        routes = table["jupyterhub"]["routes"]
        for alias in [alias for alias, route in routes.items() if route["routespec"] == spec]:
            route = routes.pop(alias)
            table["http"]["routers"].pop(route["router"])
            table["http"]["services"].pop(route["service"])
        self._write(table)

    async def wipe(self) -> None:
        self._write({})

    async def put_foreign(self) -> None:
        table = self._read()
        table["http"]["routers"]["theirs"] = {"rule": "PathPrefix(`/theirs`)", "service": "theirs"}
        table["http"]["services"]["theirs"] = {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:9"}]}}
        self._write(table)

    async def has_foreign(self) -> bool:
        return "theirs" in self._read()["http"]["routers"]

    async def close(self) -> None:
        pass

    @property
    def _path(self) -> Path:
        return next(self._data.rglob(f"{INSTANCE}-routes.yaml"))

    def _read(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self._path.read_text())
        except StopIteration:
            raise FileNotFoundError("no routes yet") from None
        return found

    def _write(self, table: Mapping[str, Any]) -> None:
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(table))
        part.replace(self._path)
