"""The poller as a process."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process

from hubbub.testing.nats import NatsServer


async def _begin(**environment: str) -> Process:
    command = [sys.executable, "-m", "hubbub_poller"]
    return await asyncio.create_subprocess_exec(*command, env={"PATH": os.environ["PATH"], **environment}, stderr=PIPE)


async def test_it_says_that_it_is_ready_and_ends_when_asked_to(nats: NatsServer) -> None:
    process = await _begin(HUBBUB_INSTANCE="poller-1", HUBBUB_NATS_URL=nats.url("poller"))
    assert process.stderr
    async with asyncio.timeout(20):
        line = await process.stderr.readline()
        process.terminate()
        await process.communicate()
    assert (json.loads(line)["event"], json.loads(line)["instance"]) == ("poller.ready", "poller-1")
    assert process.returncode == 0


async def test_without_a_bus_it_names_what_is_missing() -> None:
    process = await _begin()
    _, said = await process.communicate()
    assert process.returncode == 78
    assert "HUBBUB_NATS_URL" in said.decode().splitlines()[-1]
