"""Services outside of the hub, for tests: processes of their own, that the proxy leads to."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stack import HERE, Hub, here, hub


@dataclass(frozen=True)
class Service:
    """`kind`: see service_standin.py. `options`: what the operator says of it; `environ`: what its author does."""

    name: str
    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def token(self) -> str:
        return f"token-of-the-service-{self.name}"

    @property
    def prefix(self) -> str:
        return f"/services/{self.name}/"

    def said(self, listening: socket.socket) -> dict[str, Any]:
        """Its entry in c.JupyterHub.services."""
        url = f"http://{here()}:{listening.getsockname()[1]}"
        return {"name": self.name, "api_token": self.token, "url": url, **self.options}

    def told(self, hub: Hub, listening: socket.socket) -> dict[str, str]:
        """Its environment."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("JUPYTERHUB_")},
            "JUPYTERHUB_API_TOKEN": self.token,
            "JUPYTERHUB_API_URL": f"{hub.url}hub/api",
            "JUPYTERHUB_CLIENT_ID": f"service-{self.name}",
            "JUPYTERHUB_SERVICE_NAME": self.name,
            "JUPYTERHUB_SERVICE_PREFIX": self.prefix,
            "LISTEN_FD": str(listening.fileno()),
            **self.environ,
        }


def operators_words(services: Sequence[dict[str, Any]], roles: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The environment that config_services.py reads."""
    return {"TEST_SERVICES": json.dumps(services), "TEST_ROLES": json.dumps(roles)}


@asynccontextmanager
async def hub_with(data: Path, services: Sequence[Service], roles: Sequence[dict[str, Any]]) -> AsyncIterator[Hub]:
    """A hub and the services. They listen from the start, so that nobody has to wait for them."""
    async with AsyncExitStack() as stack:
        sockets = {each: stack.enter_context(socket.create_server((here(), 0))) for each in map(_name, services)}
        said = operators_words([each.said(sockets[each.name]) for each in services], roles)
        made = await stack.enter_async_context(hub(data, config=HERE / "config_services.py", environ=said))
        for each in services:
            await stack.enter_async_context(_running(each, made, sockets[each.name]))
        yield made


@asynccontextmanager
async def _running(service: Service, hub: Hub, listening: socket.socket) -> AsyncIterator[None]:
    with (hub.data / "log" / f"service-{service.name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(HERE / "service_standin.py"),
            service.kind,
            stdout=log,
            stderr=log,
            env=service.told(hub, listening),
            pass_fds=[listening.fileno()],
        )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


def _name(service: Service) -> str:
    return service.name
