"""A whole hub, in which people start and stop their servers while its proxy dies, or is changed behind its back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from burst import ask, killed, settle_in, some_ready, starting
from burst import start as start_one
from checks import all_ready, five_checks
from fronts import ChpFront
from stack import Hub, eventually, hub

#: Those who stay while the others come and go.
STAYING = [f"stays-{number}" for number in range(8)]
PEOPLE = [*STAYING, "goes-0", "goes-1", "goes-2"]


async def test_routes_are_changed_behind_its_back_while_servers_start_and_stop(tmp_path: Path) -> None:
    async with hub(tmp_path / "data") as it, AsyncExitStack() as stack:
        await settle_in(it, PEOPLE)
        front = ChpFront.of_hub(it.data)
        stack.push_async_callback(front.close)
        async with _nobody_astray(it):
            async with starting(it, PEOPLE):  # by requests that come through the proxy: it knows the hub all the time
                await some_ready(it, 3)
                await front.wipe_all_but("/")
                await some_ready(it, 6)
                await _spoil(it, front)
            proxy = it.proxy()
            coming_and_going = [
                asyncio.create_task(_again_and_again(it, name)) for name in PEOPLE if name not in STAYING
            ]
            await front.wipe_all_but("/")
            await _all_reachable(it, STAYING)
            proxy.kill()
            await killed(proxy.pid)
            await _all_reachable(it, STAYING)
            await front.put_foreign()
            await _spoil(it, front)
            await asyncio.gather(*coming_and_going)
            await all_ready(it, PEOPLE, 60)
            await five_checks(it)
            await _all_reachable(it, PEOPLE)
        assert await front.has_foreign()
        assert "RoutesCorrected" in (await it.command("events", "--type", "RoutesCorrected"))[1]


async def _spoil(it: Hub, front: ChpFront) -> None:
    """One that is deleted, one that leads elsewhere, and one of somebody who has no server."""
    names = [name for name in STAYING if await it.is_ready(name)]
    nowhere = "http://127.0.0.1:9"
    await front.remove(f"/user/{names[0]}/")
    await front.put(f"/user/{names[1]}/", nowhere, {"user": names[1], "server_id": names[1], "attempt": 1})
    await front.put("/user/nobody/", nowhere, {"user": "nobody", "server_id": "nobody", "attempt": 1})
    await _all_reachable(it, names[:2])

    async def is_gone() -> bool:
        return "/user/nobody/" not in await front.table()

    await eventually(is_gone, 10, "nobody's route is taken away")


async def _again_and_again(it: Hub, name: str) -> None:
    for _ in range(2):
        status, body = await ask(it, "DELETE", f"/users/{name}/server")
        assert status in (202, 204), (name, status, body)
        await start_one(it, name)


async def _all_reachable(it: Hub, names: list[str]) -> None:
    async def reachable() -> bool:
        return all(await asyncio.gather(*(it.standin(name) for name in names)))

    await eventually(reachable, 20, f"{len(names)} servers answer at their public addresses")


@asynccontextmanager
async def _nobody_astray(it: Hub) -> AsyncIterator[None]:
    """While the block runs everybody asks for their server again and again, and gets no other than that."""
    strange: set[tuple[str, str]] = set()
    served = dict.fromkeys(PEOPLE, 0)

    async def watch(name: str) -> None:
        while True:
            if found := await it.standin(name):
                prefix = found["env"]["JUPYTERHUB_SERVICE_PREFIX"]
                served[name] += 1
                if prefix != f"/user/{name}/":
                    strange.add((name, prefix))
            await asyncio.sleep(0.2)

    watching = [asyncio.create_task(watch(name)) for name in PEOPLE]
    try:
        yield
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
    assert strange == set()
    assert min(served.values()) > 0
