"""Those who ask together ask once, and nobody gets an answer that is older than the question."""

import asyncio
from collections.abc import Sequence

import pytest

from hubbub.batch import Batch


class Source:
    """Answers when it is let, with what is true when it is asked."""

    def __init__(self) -> None:
        self.truth = {"a": 1, "b": 2}
        self.asked: list[list[str]] = []
        self.under_way: list[asyncio.Future[None]] = []
        self.begun = asyncio.Condition()

    async def load(self, keys: Sequence[str]) -> dict[str, int]:
        found = {key: self.truth[key] for key in keys if key in self.truth}
        async with self.begun:
            self.asked.append(sorted(keys))
            self.under_way.append(asyncio.get_running_loop().create_future())
            turn = self.under_way[-1]
            self.begun.notify_all()
        await turn
        return found

    async def until(self, number: int) -> None:
        async with asyncio.timeout(5), self.begun:
            await self.begun.wait_for(lambda: len(self.asked) == number)


async def test_those_who_ask_in_the_same_moment_ask_once() -> None:
    source = Source()
    batch = Batch(source.load)
    asking = [asyncio.ensure_future(batch.get(key)) for key in ("a", "b", "a", "c")]
    await source.until(1)
    source.under_way[0].set_result(None)
    assert await asyncio.gather(*asking) == [1, 2, 1, None]
    assert source.asked == [["a", "b", "c"]]


async def test_no_answer_is_older_than_its_question() -> None:
    source = Source()
    batch = Batch(source.load, at_once=1)
    before = asyncio.ensure_future(batch.get("a"))
    await source.until(1)
    source.truth["a"] = 3
    after = asyncio.ensure_future(batch.get("a"))
    source.under_way[0].set_result(None)
    assert await before == 1
    await source.until(2)
    source.under_way[1].set_result(None)
    assert await after == 3


async def test_one_who_gives_up_takes_nothing_from_the_others() -> None:
    source = Source()
    batch = Batch(source.load)
    leaving, staying = (asyncio.ensure_future(batch.get("a")) for _ in range(2))
    await source.until(1)
    leaving.cancel()
    source.under_way[0].set_result(None)
    assert await staying == 1


async def test_a_failure_reaches_all_who_asked_and_nobody_after() -> None:
    async def load(keys: Sequence[str]) -> dict[str, int]:
        if "bad" in keys:
            raise OSError("away")
        return dict.fromkeys(keys, 1)

    batch = Batch(load)
    outcomes = await asyncio.gather(batch.get("bad"), batch.get("a"), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [OSError, OSError]
    assert await batch.get("a") == 1
    with pytest.raises(OSError, match="away"):
        await batch.get("bad")
