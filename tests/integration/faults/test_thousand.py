"""A thousand servers run on three workers, and one of these dies: the others carry on, and take over."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from burst import ask, settle_in, without
from checks import rows
from stack import HERE, Hub, eventually, hub

PEOPLE = [f"user-{number:04}" for number in range(1000)]
VICTIM = "spawner-worker-1"
#: Seconds: of silence until a worker is thought to be lost, and in which somebody has to have taken over.
LEASE, ADOPTION = 2.0, 60.0
POLL = 5.0
AT_ONCE = 50

SPREAD = """
    select type, count(*) as number, extract(epoch from max(recorded_at) - min(recorded_at)) as seconds
    from events where type in ('HolderLost', 'ServerAdopted') group by type order by type
"""
HOLDERS = "select u.name, s.holder from servers s join users u on u.id = s.user_id where s.kind = 'Running'"


@asynccontextmanager
async def standin() -> AsyncIterator[int]:
    """What answers for all of them; its port."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def each(names: list[str], method: str, it: Hub) -> Counter[str]:
    """The answers to that request for the server of each, some at a time: their status, and what a refusal says."""
    gate, answers = asyncio.Semaphore(AT_ONCE), Counter[str]()

    async def one(name: str) -> None:
        async with gate:
            status, body = await ask(it, method, f"/users/{name}/server", seconds=120)
            answers[f"{status} {body['message']}" if status >= 400 else str(status)] += 1

    await asyncio.gather(*map(one, names))
    return answers


async def holders(it: Hub) -> dict[str, str | None]:
    return {row["name"]: row["holder"] for row in await rows(it, HOLDERS)}


class Watcher:
    """Asks the API for what is ready, again and again. `fewest`: the smallest number that it has ever named."""

    def __init__(self, it: Hub) -> None:
        self._it = it
        self.fewest = len(PEOPLE)
        self.looks = 0

    async def run(self) -> None:
        while True:
            self.fewest = min(self.fewest, len(await self.ready()))
            self.looks += 1

    async def ready(self) -> set[str]:
        found: set[str] = set()
        for offset in range(0, len(PEOPLE), 200):
            status, models = await self._it.api("GET", f"/users?state=ready&limit=200&offset={offset}")
            assert status == 200, models
            found |= {model["name"] for model in models}
        return found


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_a_thousand_servers_outlive_one_of_three_workers(tmp_path: Path):
    async with standin() as port:
        environ = {"TEST_STANDIN_PORT": str(port), "HUBBUB_LEASE_SECONDS": str(LEASE)}
        config = HERE / "config_thousand.py"
        async with hub(tmp_path / "data", config=config, scale="spawner-worker=3", environ=environ) as it:
            await settle_in(it, PEOPLE)
            began = time.monotonic()
            answers = await each(PEOPLE, "POST", it)
            assert set(answers) <= {"201", "202"}, answers
            watcher = Watcher(it)
            await eventually(lambda: all_are_ready(watcher), 60, "all ready")
            print(f"\n{len(PEOPLE)} started in {time.monotonic() - began:.1f} s")
            await one_dies(it, watcher)


async def all_are_ready(watcher: Watcher) -> bool:
    return len(await watcher.ready()) == len(PEOPLE)


async def one_dies(it: Hub, watcher: Watcher) -> None:
    orphaned = [name for name, holder in (await holders(it)).items() if holder == VICTIM]
    assert len(orphaned) > len(PEOPLE) / 10, "it has its share"
    ends, stops, others = orphaned[:5], orphaned[5:15], [name for name in PEOPLE if name not in orphaned][:10]
    gone = {*ends, *stops, *others}
    async with without(it, VICTIM):
        began = time.monotonic()
        (it.data / "ended").mkdir(exist_ok=True)
        for name in ends:
            (it.data / "ended" / name).touch()
        watching = asyncio.create_task(watcher.run())
        stopping = asyncio.create_task(each([*stops, *others], "DELETE", it))
        await eventually(lambda: none_is_held_by_the_dead(it), LEASE + ADOPTION, "all of them adopted")
        print(f"{len(orphaned)} of them adopted {time.monotonic() - began:.1f} s after their worker was killed:")
        for row in await rows(it, SPREAD):
            print(f"  {row['number']} {row['type']} within {row['seconds']:.1f} s")
        assert set(await stopping) <= {"202", "204"}
        await eventually(lambda: so_many(watcher, gone), LEASE + POLL * 2, "the API to say which have ended")
        print(f"what had ended was said to be {time.monotonic() - began:.1f} s after it had")
        watching.cancel()
        # None of those that run was ever said not to.
        assert watcher.fewest >= len(PEOPLE) - len(gone), watcher.fewest
        assert watcher.looks > 0
        share = Counter((await holders(it)).values())
        print(f"{watcher.looks} looks at all of them; now held: {dict(share)}")
        assert len(share) == 2 and min(share.values()) > len(PEOPLE) / 5, share
    status, output = await it.command("verify")
    assert status == 0, output


async def none_is_held_by_the_dead(it: Hub) -> bool:
    return not {VICTIM, None} & set((await holders(it)).values())


async def so_many(watcher: Watcher, gone: set[str]) -> bool:
    return await watcher.ready() == set(PEOPLE) - gone
