"""The bus dies and comes back, with what it had stored and without: work goes on."""

import asyncio
import contextlib
import os
import shutil
import signal

import pytest
from nats.errors import Error

from hubbub.domain.server_states import Running, Stopped
from hubbub.testing.nats import NatsServer
from hubbub_spawner_worker import claims


@pytest.fixture
def nats(tmp_path):
    """One that a test may kill."""
    (tmp_path / "nats").mkdir()
    server = NatsServer(tmp_path / "nats", [f"pool{number}" for number in range(200)])
    server.start()
    yield server
    server.kill()


@pytest.mark.parametrize("wiped", [False, True])
async def test_servers_run_on_and_what_happened_meanwhile_is_told(nats, api, hire, record_of, gone, tmp_path, wiped):
    await hire()
    for server in ("s1", "s2", "s3"):
        await api.start(server)
    await api.until(lambda: len(api.are(Running)) == 3)
    nats.kill()
    os.kill(record_of("s1")["pid"], signal.SIGKILL)
    await api.stop("s2", tell=False)
    await api.start("s4", ticket=False)
    if wiped:
        shutil.rmtree(tmp_path / "nats" / "jetstream")
    nats.start()
    await api.until_is("s1", Stopped)
    await api.until_is("s2", Stopped)
    await api.until_is("s4", Running)
    assert api.are(Running) == ["s3", "s4"]


async def test_a_fetch_that_was_open_meanwhile_is_begun_anew(nats, api, hire, monkeypatch):
    monkeypatch.setattr(claims, "IDLE", 60)  # so that only a ticket can be what it hears of
    await hire()
    nats.kill()
    nats.start()
    async with asyncio.timeout(10):
        await api.bus.reconnected.wait()
    await api.start("s1", ticket=False)
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(Error):  # JetStream comes a little later than the port
                await api.ticket(b"")
                break
    await api.until_is("s1", Running)
