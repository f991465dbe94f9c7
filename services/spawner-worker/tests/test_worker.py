"""A worker at work: real processes, a real bus, an api that decides by the real domain."""

import asyncio
import json
import os
import signal
import time
import urllib.request

import pytest

from hubbub.domain.server_states import Running, Started, Stopped, Stopping
from hubbub.rpc import Done, Word
from hubbub.testing.eventually import eventually
from hubbub.tokens import token_hash
from hubbub_spawner_worker import claims

#: Seconds after which NATS would hand out a ticket once more (see `Api.make_consumer`).
ACK_WAIT = 10


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


async def test_a_claim_whose_answer_is_lost_is_made_again(api, hire):
    await hire()
    api.deaf_to_claims = 3
    await api.start("s1")
    state = await api.until_is("s1", Running)
    assert state.attempt == 1


async def test_a_start_nobody_knows_of_is_reported_as_lost(api, hire):
    await hire("w1", lease=0.5)
    await api.start("s1", ticket=False)
    api.give("s1", "w1", "h", "sha256:0")
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
    await hire(starts=2, cmd=["sleep", "1000"])
    for number in range(5):
        await api.start(f"s{number}")
    await api.until(lambda: len(api.are(Started)) == 2)
    assert len(api.waiting()) == 3
    await api.cancel(api.are(Started)[0])
    await api.until(lambda: len(api.waiting()) == 2)


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


async def test_workers_of_a_pool_share_the_load(api, hire):
    await hire("w1", starts=3, cmd=["sleep", "1000"])
    await hire("w2", starts=3, cmd=["sleep", "1000"])
    for number in range(6):
        await api.start(f"s{number}")
    await api.until(lambda: len(api.are(Started)) == 6)
    assert sorted(api.holder(server) for server in api.states) == ["w1"] * 3 + ["w2"] * 3


async def test_tickets_may_come_later_than_the_worker(api, hire, connection):
    await connection.js.delete_consumer("TICKETS", f"pool-{api.pool}")
    await hire()
    await api.make_consumer()
    await api.start("s1")
    await api.until_is("s1", Running)


async def test_a_worker_holds_no_more_servers_than_it_may(api, hire):
    await hire(capacity=2)
    for number in range(4):
        await api.start(f"s{number}")
    await api.until(lambda: len(api.are(Running)) == 2)
    assert len(api.waiting()) == 2
    await api.stop(api.are(Running)[0])
    await api.until(lambda: len(api.waiting()) == 1)
    await api.until(lambda: len(api.are(Running)) == 2)


async def test_an_environment_may_say_how_many_servers_a_worker_holds(api, hire):
    await hire("w1", capacity=2, told=1)
    await api.start("s1")
    await api.until_is("s1", Running)
    await api.start("s2")
    await hire("w2", capacity=2, told=1)
    await api.until_is("s2", Running)
    assert sorted(map(api.holder, ("s1", "s2"))) == ["w1", "w2"]


async def test_a_hint_of_more_than_fits_goes_on_to_a_colleague(api, hire, monkeypatch):
    """One ticket for two starts: who takes the first of them has no room for the other, and nobody asks unbidden."""
    monkeypatch.setattr(claims, "IDLE", 60)
    hired = [await hire(name, starts=1, cmd=["sleep", "1000"]) for name in ("w1", "w2")]
    await eventually(lambda: all(one.worker.claims.made for one in hired))
    await api.start("s1", ticket=False)
    await api.start("s2")
    await api.until(lambda: len(api.are(Started)) == 2)
    assert sorted(map(api.holder, ("s1", "s2"))) == ["w1", "w2"]


async def test_a_full_worker_leaves_tickets_to_others(api, hire, monkeypatch):
    """One that has opened its ears before it was full may hear of them all the same."""
    monkeypatch.setattr(claims, "IDLE", 60)
    await hire("w1", capacity=1)
    await api.start("s1")
    await api.until_is("s1", Running)
    other = await hire("w2", capacity=1)
    await eventually(lambda: other.worker.claims.made)
    began = time.monotonic()
    await api.start("s2")
    await api.until_is("s2", Running)
    assert api.holder("s2") == "w2"
    assert time.monotonic() - began < ACK_WAIT
