"""Adoption: whatever dies, what runs is found again, once, by whoever comes next."""

import asyncio
import os
import signal

import pytest

from hubbub.domain.server_messages import ReportOrphanRemoved
from hubbub.domain.server_states import Running, Stopped
from hubbub_spawner_worker import workload
from hubbub_spawner_worker.spawners import SimpleLocalProcessSpawner


class Shared(SimpleLocalProcessSpawner):
    """Registers an address without a process, as the benchmark's does."""

    reach = "pool"
    shared = False

    def load_state(self, state):
        super().load_state(state)
        self.shared = bool(state.get("shared"))

    def get_state(self):
        return {**super().get_state(), **({"shared": True} if self.shared else {})}

    async def start(self):
        if self.user_options.get("port"):
            self.shared = True
            return ("127.0.0.1", self.user_options["port"])
        return await super().start()

    async def poll(self):
        return None if self.shared else await super().poll()

    async def stop(self, now=False):
        if self.shared:
            self.shared = False
        else:
            await super().stop(now)


@pytest.fixture
async def listening():
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_a_spawner_without_a_process_is_adopted_by_its_state(api, hire, listening):
    first = await hire(kind=Shared)
    await api.start("s1", options={"port": listening})
    state = await api.until_is("s1", Running)
    assert state.url == f"http://127.0.0.1:{listening}"
    await first.dismiss()
    await hire(kind=Shared)
    await api.until(lambda: api.holder("s1"))
    assert isinstance(api.states["s1"], Running)
    await api.stop("s1")
    await api.until_is("s1", Stopped)


async def test_a_restarted_worker_takes_its_servers_back(api, hire, record_of, is_alive):
    first = await hire()
    for number in range(3):
        await api.start(f"s{number}")
    await api.until(lambda: len(api.are(Running)) == 3)
    pids = [record_of(f"s{number}")["pid"] for number in range(3)]
    await first.dismiss()
    await hire()
    _, hello = api.hellos[-1]
    assert sorted(found.server for found in hello.found) == ["s0", "s1", "s2"]
    assert all(is_alive(pid) for pid in pids)
    assert len(api.are(Running)) == 3
    # It is not our child, but its end is learnt all the same.
    os.kill(pids[0], signal.SIGKILL)
    await api.until_is("s0", Stopped)
    await api.stop("s1")
    await api.until_is("s1", Stopped)


async def test_a_server_that_died_while_nobody_looked_is_not_found(api, hire, record_of, gone):
    first = await hire()
    await api.start("s1")
    await api.until_is("s1", Running)
    pid = record_of("s1")["pid"]
    await first.dismiss()
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)
    await hire()
    assert isinstance(api.states["s1"], Stopped)
    assert record_of("s1") is None


async def test_a_dead_colleagues_servers_are_taken_over(api, hire, record_of, is_alive):
    first = await hire("w1")
    await api.start("s1")
    await api.until_is("s1", Running)
    pid = record_of("s1")["pid"]
    await first.dismiss()
    await hire("w2", lease=0.5)
    await api.until(lambda: api.holder("s1") == "w2")
    assert is_alive(pid)
    await api.stop("s1")
    await api.until_is("s1", Stopped)


async def test_what_a_dead_colleague_left_of_an_old_attempt_is_removed(api, hire, record_of, gone):
    first = await hire("w1")
    await api.start("s1")
    await api.until_is("s1", Running)
    pid = record_of("s1")["pid"]
    await first.dismiss()
    api.lose("s1")
    await hire("w2", lease=0.5)
    assert await asyncio.to_thread(gone, pid)
    await api.until(lambda: api.reported(ReportOrphanRemoved))
    assert isinstance(api.states["s1"], Stopped)


async def test_an_attempt_lost_to_another_is_removed_before_the_next_one_begins(api, hire, record_of, gone):
    await hire(lease=0.5)
    await api.start("s1")
    await api.until_is("s1", Running)
    pid = record_of("s1")["pid"]
    api.lose("s1")
    await api.start("s1")
    state = await api.until_is("s1", Running)
    assert state.attempt == 2
    assert await asyncio.to_thread(gone, pid)
    assert record_of("s1")["attempt"] == 2


async def test_an_attempt_that_does_not_count_has_less_time_to_end(api, hire, standin, record_of, gone, monkeypatch):
    monkeypatch.setattr(workload, "_ORPHAN_PATIENCE", 0.2)
    await hire(lease=0.5, cmd=[*standin, "deaf"], interrupt_timeout=60)
    await api.start("s1")
    await api.until_is("s1", Running)
    pid = record_of("s1")["pid"]
    api.lose("s1")
    await api.start("s1")
    assert await asyncio.to_thread(gone, pid)
    assert (await api.until_is("s1", Running)).attempt == 2
    os.kill(record_of("s1")["pid"], signal.SIGKILL)
