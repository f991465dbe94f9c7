"""`POST /shutdown`: ends the servers, if that is wanted, and then the house."""

from aiohttp import web

from hubbub.admin import stop_all
from hubbub.rpc import Word
from hubbub_api.keys import BUS, COMMITTER, POOL

PATIENCE = 90.0


async def stop_everything(app: web.Application, actor: str) -> None:
    async def tell(holder: str, server: str, attempt: int) -> None:
        await app[BUS].signal(f"hub.holder.{holder}", Word(server=server, attempt=attempt))

    await stop_all(app[POOL], app[COMMITTER], actor, PATIENCE, tell)
