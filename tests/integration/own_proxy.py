"""A configurable-http-proxy that no hub has started."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from hubbub.free_port import free_port
from hubbub.testing.eventually import eventually
from hubbub_local.services import proxy_command


class OwnProxy:
    """`url`: where people reach it; `api_url` and `token`: its API."""

    def __init__(self, token: str) -> None:
        self.token = token
        port, api_port = free_port(), free_port()
        self.url, self.api_url = f"http://127.0.0.1:{port}/", f"http://127.0.0.1:{api_port}"
        self.arguments = [
            "--ip",
            "127.0.0.1",
            "--port",
            str(port),
            "--api-ip",
            "127.0.0.1",
            "--api-port",
            str(api_port),
        ]

    async def ask(self, method: str, path: str = "/", body: Any = None) -> Any:
        headers = {"Authorization": f"token {self.token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, f"{self.api_url}/api/routes{path}", json=body) as answer,
        ):
            assert answer.status < 300, (method, path, answer.status)
            return await answer.json() if method == "GET" else None

    async def ours(self) -> set[str]:
        """The paths of the routes that are a hub's."""
        return {path for path, route in (await self.ask("GET")).items() if route.get("jupyterhub")}

    async def all(self) -> set[str]:
        return set(await self.ask("GET"))


@asynccontextmanager
async def own_proxy(token: str, log: Path) -> AsyncIterator[OwnProxy]:
    made = OwnProxy(token)
    command = json.loads(proxy_command())
    environ = {**os.environ, "CONFIGPROXY_AUTH_TOKEN": token}
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *command, *made.arguments, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, env=environ
        )

    async def is_up() -> bool:
        try:
            await made.ask("GET")
        except aiohttp.ClientError:
            assert process.returncode is None, f"it ended: see {log}"
            return False
        return True

    try:
        await eventually(is_up, 30)
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
