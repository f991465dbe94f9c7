"""A real Prometheus, with the configuration and the alerts that are shipped, which looks every second."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import yaml

from hubbub.free_port import free_port

SHIPPED = Path(__file__).parents[2] / "deploy" / "prometheus"

#: What a query finds: values by their labels (sorted pairs of name and value).
Vector = dict[tuple[tuple[str, str], ...], float]


class Prometheus:
    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def ask(self, path: str, **parameters: str) -> Any:
        """Raises AssertionError if it cannot answer."""
        async with self._session.get(f"{self._url}/api/v1/{path}", params=parameters) as answer:
            found = await answer.json()
            assert found["status"] == "success", (parameters, found)
            return found["data"]

    async def query(self, expr: str, at: float | None = None) -> Vector:
        found = await self.ask("query", query=expr, **({"time": repr(at)} if at is not None else {}))
        assert found["resultType"] == "vector", found
        return {tuple(sorted(each["metric"].items())): float(each["value"][1]) for each in found["result"]}

    async def number(self, expr: str, at: float | None = None) -> float:
        """The one value that *expr* has; not a number if it has none."""
        found = await self.query(expr, at)
        assert len(found) <= 1, (expr, found)
        return next(iter(found.values()), math.nan)

    async def by(self, label: str, expr: str, at: float | None = None) -> dict[str, float]:
        return {dict(labels).get(label, ""): value for labels, value in (await self.query(expr, at)).items()}


def configuration(folder: Path, hub: str, token: str) -> Path:
    """The shipped one for the hub at *hub*."""
    shipped = yaml.safe_load((SHIPPED / "prometheus.yml").read_text())
    shipped["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    shipped["rule_files"] = [str(SHIPPED / name) for name in shipped["rule_files"]]
    [job] = shipped["scrape_configs"]
    (folder / "token").write_text(token)
    job["scheme"], job["authorization"]["credentials_file"] = "http", str(folder / "token")
    job["static_configs"][0]["targets"] = [urlsplit(hub).netloc]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(shipped))
    return path


@asynccontextmanager
async def prometheus(folder: Path, hub: str, token: str) -> AsyncIterator[Prometheus]:
    """One that has begun to work."""
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={configuration(folder, hub, token)}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=log,
        )
    try:
        async with aiohttp.ClientSession() as session:
            yield await _ready(f"http://127.0.0.1:{port}", session)
    finally:
        process.terminate()
        await process.wait()


async def _ready(url: str, session: aiohttp.ClientSession) -> Prometheus:
    async with asyncio.timeout(30):
        while True:
            with suppress(aiohttp.ClientError):
                async with session.get(f"{url}/-/ready") as answer:
                    if answer.status == 200:
                        return Prometheus(url, session)
            await asyncio.sleep(0.05)
