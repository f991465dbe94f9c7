"""Spawners that fail, return nonsense or never return: a clear failure, and never the end of the worker."""

import asyncio
import contextlib
import json

import pytest

from hubbub.domain.server_states import Running, Stopped
from hubbub_spawner_worker.spawners import SimpleLocalProcessSpawner


class Raises(SimpleLocalProcessSpawner):
    async def start(self):
        raise RuntimeError(f"no luck with {self.api_token}")


class Nonsense(SimpleLocalProcessSpawner):
    async def start(self):
        return {"nonsense": True}


class Never(SimpleLocalProcessSpawner):
    async def start(self):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()


class Broken(SimpleLocalProcessSpawner):
    def load_state(self, state):
        raise RuntimeError("I take nothing back")


class Wild(SimpleLocalProcessSpawner):
    async def progress(self):
        yield {"progress": 10, "message": "on its way"}
        yield 42


@pytest.mark.parametrize(
    ("kind", "reason", "says"),
    [
        (Raises, "error", "RuntimeError: no luck with ..."),
        (Nonsense, "error", "start() returned {'nonsense': True}"),
        (Never, "timeout", "did not start within 0.2 seconds"),
        (Broken, "error", "I take nothing back"),
    ],
)
async def test_a_bad_spawner_is_a_clear_failure(api, hire, kind, reason, says):
    await hire(kind=kind, start_timeout=0.2)
    await api.start("s1")
    state = await api.until_is("s1", Stopped)
    assert state.failure.reason == reason
    assert says in state.failure.message


async def test_progress_is_published_and_nonsense_in_it_ends_nothing(api, hire, connection):
    await hire(kind=Wild)
    frames = await connection.client.subscribe("hub.progress.s1.1")
    await api.start("s1")
    await api.until_is("s1", Running)
    frame = await frames.next_msg(timeout=10)
    assert json.loads(frame.data) == {"progress": 10, "message": "on its way"}
