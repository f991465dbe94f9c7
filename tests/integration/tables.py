"""What the proxies of a hub lead to, asked of themselves."""

import asyncio
from typing import Any
from urllib.parse import quote

import aiohttp

from stack import Hub

#: Seconds for an answer.
PATIENCE = aiohttp.ClientTimeout(10)


async def tables(hub: Hub) -> list[dict[str, str]]:
    """The targets of people's servers by their quoted prefixes (without a slash at the end), for each proxy.

    configurable-http-proxy is asked by its API. Others have none in common: there it is what the log says of those
    that answer at their public address. One that does not answer has nothing.
    """
    if not (apis := hub.proxy_apis()):
        return [await _reached(hub, address) for address in hub.addresses()]
    return list(await asyncio.gather(*(_listed(hub, *api) for api in apis)))


async def _listed(hub: Hub, address: str, token: str) -> dict[str, str]:
    headers = {"Authorization": f"token {token}"}
    place = f"{address}/api/routes"
    try:
        async with hub.session.get(place, headers=headers, timeout=PATIENCE) as response:
            routes: dict[str, Any] = await response.json()
    except (aiohttp.ClientError, TimeoutError):
        return {}
    # It keeps paths unquoted.
    return {quote(spec.rstrip("/"), safe="/@~"): route["target"] for spec, route in routes.items() if "/user/" in spec}


async def _reached(hub: Hub, address: str) -> dict[str, str]:
    _, routes = await hub.api("GET", "/proxy")
    owned = {spec: route["target"] for spec, route in routes.items() if "user" in route["data"]}
    answers = await asyncio.gather(*(_answers(hub, f"{address.rstrip('/')}{spec}") for spec in owned))
    return {spec.rstrip("/"): target for (spec, target), there in zip(owned.items(), answers, strict=True) if there}


async def _answers(hub: Hub, place: str) -> bool:
    """Whether somebody other than the hub does, and a proxy that leads nowhere."""
    try:
        async with hub.session.get(place, timeout=PATIENCE, allow_redirects=False) as response:
            return response.status < 500 and "X-JupyterHub-Version" not in response.headers
    except (aiohttp.ClientError, TimeoutError):
        return False
