"""A worker at work: real processes, a real bus, an api that decides by the real domain."""

import asyncio
import contextlib
import json
import os
import signal
import urllib.request

import pytest

from hubbub.domain.server_states import Running, Spawning, Started, Stopped, Stopping
from hubbub.rpc import Done, Word
from hubbub.tokens import token_hash
from hubbub_spawner_worker.spawners import SimpleLocalProcessSpawner


def asked(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


async def test_a_claimed_server_is_started_and_answers(api, hire, record_of):
    await hire()
    await api.start("s1")
    state = await api.until_is("s1", Running)
    assert state.version == "6.1.1"
    environment = await asyncio.to_thread(asked, f"{state.url}/user/ada/api")
    assert token_hash(environment["JUPYTERHUB_API_TOKEN"]) == api.specs["s1"].hash
    assert environment["JUPYTERHUB_SERVICE_PREFIX"] == "/user/ada/"
    record = record_of("s1")
    assert (record["server"], record["attempt"], record["url"]) == ("s1", 1, state.url)


async def test_a_worker_that_is_told_stops_its_server(api, hire, record_of, gone, tmp_path):
    await hire()
    await api.start("s1")
    await api.until_is("s1", Running)
    pid = record_of("s1")["pid"]
    await api.stop("s1")
    await api.until_is("s1", Stopped)
    assert gone(pid)
    assert record_of("s1") is None


async def test_a_lost_word_is_made_up_for_by_looking(api, hire):
    await hire(lease=0.5)
    await api.start("s1")
    await api.until_is("s1", Running)
    await api.stop("s1", tell=False)
    await api.until_is("s1", Stopped)


async def test_a_server_that_dies_is_reported_with_its_status(api, hire, record_of):
    await hire()
    await api.start("s1")
    await api.until_is("s1", Running)
    os.kill(record_of("s1")["pid"], signal.SIGKILL)
    state = await api.until_is("s1", Stopped)
    assert state.crashed == "-9"


async def test_a_server_that_dies_at_once_is_a_failure_with_its_status(api, hire, standin):
    await hire(cmd=[*standin, "dies"])
    await api.start("s1")
    await api.until_is("s1", Stopping)
    state = await api.until_is("s1", Stopped)
    assert "status=3" in state.failure.message


async def test_a_start_is_cancelled_while_it_waits_for_an_answer(api, hire, record_of, gone):
    await hire(cmd=["sleep", "1000"])
    await api.start("s1")
    await api.until_is("s1", Started)
    pid = record_of("s1")["pid"]
    await api.cancel("s1")
    await api.until_is("s1", Stopped)
    assert gone(pid)


async def test_a_server_that_never_answers_is_a_failure(api, hire):
    await hire(cmd=["sleep", "1000"], http_timeout=0.2)
    await api.start("s1")
    state = await api.until_is("s1", Stopping)
    assert state.failure.reason == "timeout"
    await api.until_is("s1", Stopped)


async def test_a_command_that_is_not_there_is_named(api, hire):
    await hire(cmd=["no-such-command"])
    await api.start("s1")
    state = await api.until_is("s1", Stopping)
    assert "no-such-command" in state.failure.message
    await api.until_is("s1", Stopped)


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


class Shared(SimpleLocalProcessSpawner):
    """Registers an address without a process, as the benchmark's does."""

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
    assert isinstance(api.states["s1"], Running)
    await api.stop("s1")
    await api.until_is("s1", Stopped)


async def test_a_restarted_worker_takes_its_servers_back(api, hire, record_of, is_alive):
    first = await hire()
    for number in range(3):
        await api.start(f"s{number}")
    await api.until(lambda: all(isinstance(state, Running) for state in api.states.values()))
    pids = [record_of(f"s{number}")["pid"] for number in range(3)]
    await first.dismiss()
    await hire()
    _, hello = api.hellos[-1]
    assert sorted(found.server for found in hello.found) == ["s0", "s1", "s2"]
    assert all(is_alive(pid) for pid in pids)
    assert all(isinstance(state, Running) for state in api.states.values())
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
    await api.until(lambda: api.states["s1"].holder == "w2")
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
    await api.until(lambda: api.reported("ReportOrphanRemoved"))
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


async def test_a_claim_whose_answer_is_lost_is_made_again(api, hire):
    await hire()
    api.deaf_to_claims = 3
    await api.start("s1")
    state = await api.until_is("s1", Running)
    assert state.attempt == 1


async def test_a_start_nobody_knows_of_is_reported_as_lost(api, hire):
    await hire("w1", lease=0.5)
    await api.start("s1", ticket=False)
    api._give("s1", "w1", "h", "sha256:0")
    state = await api.until_is("s1", Stopped)
    assert state.failure.reason == "lost"


async def test_work_is_found_without_tickets(api, hire):
    await hire()
    await api.start("s1", ticket=False)
    await api.until_is("s1", Running)


async def test_a_ticket_of_nonsense_is_only_a_hint(api, hire):
    await hire()
    await api.ticket(b"\xff\x00 nonsense")
    await api.start("s1")
    await api.until_is("s1", Running)


@pytest.mark.parametrize(
    "payload", [b"", b"\xff\x00", b"[]", b'{"server": 1}', b'{"server": "x", "attempt": 1, "verb": "dance"}']
)
async def test_a_word_of_nonsense_is_answered_with_an_error(api, hire, connection, payload):
    await hire("w1")
    answer = await connection.client.request("hub.holder.w1", payload, timeout=5)
    assert answer.headers["error"].startswith("unreadable")


async def test_a_word_of_a_server_that_is_not_held_changes_nothing(api, hire, connection):
    await hire("w1")
    assert await connection.ask("hub.holder.w1", Word(server="nobody", attempt=7), Done) == Done()


async def test_there_are_never_more_starts_than_the_worker_has_room_for(api, hire):
    await hire(hubbub={"worker_capacity": 2}, cmd=["sleep", "1000"])
    for number in range(5):
        await api.start(f"s{number}")
    await api.until(lambda: sum(isinstance(state, Started) for state in api.states.values()) == 2)
    waiting = [id for id, state in api.states.items() if isinstance(state, Spawning) and not state.holder]
    assert len(waiting) == 3
    await api.cancel(next(id for id, state in api.states.items() if isinstance(state, Started)))
    await api.until(lambda: sum(isinstance(state, Spawning) and not state.holder for state in api.states.values()) == 2)


async def test_a_servers_log_is_read_through_the_bus(api, hire):
    await hire("w1")
    await api.start("s1")
    await api.until_is("s1", Running)
    assert (await api.log_of("w1", "s1")).text.endswith("listening")
    assert "no log" in (await api.log_of("w1", "s2")).error
    assert "no id" in (await api.log_of("w1", "../../etc/passwd")).error


async def test_a_server_whose_stop_is_ignored_is_killed_with_all_its_children(api, hire, standin, record_of, gone):
    await hire("w1", cmd=[*standin, "deaf", "breeds"], interrupt_timeout=0.1, term_timeout=0.1)
    await api.start("s1")
    await api.until_is("s1", Running)
    grandchild = int((await api.log_of("w1", "s1")).text.split()[1])
    pid = record_of("s1")["pid"]
    await api.stop("s1")
    await api.until_is("s1", Stopped)
    assert gone(pid)
    assert gone(grandchild)
