"""Ports: never two servers on one, and none given again while a route may lead to it."""

import os
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from hubbub_spawner_worker.ports import KEPT, Ports


class Clock:
    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ports(tmp_path, clock):
    return Ports(tmp_path, "w1", clock=clock)


@pytest.fixture
def held(tmp_path):
    return lambda: {int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()}


def test_a_port_is_free_and_reserved(ports, held):
    port = ports.reserve("s1")
    with socket.create_server(("127.0.0.1", port)):
        pass
    assert held() == {port}


def test_no_two_servers_get_the_same_one(ports):
    given = [ports.reserve(f"s{number}") for number in range(300)]
    assert len(set(given)) == 300


def test_one_that_is_listened_on_is_not_given(ports):
    with ExitStack() as stack:
        taken = {stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(50)}
        assert not taken & {ports.reserve("s1") for _ in range(50)}


def test_nobody_comes_by_one_without_asking_for_it(ports):
    """A server may listen late: no outgoing connection, and nobody who asks for any port, can be faster."""
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    if low > 14_000:
        assert not any(low <= ports.reserve("s1") <= high for _ in range(100))


def test_a_released_one_is_kept_for_a_minute(ports, clock, held):
    port = ports.reserve("s1")
    ports.release(port)
    clock.now += KEPT - 1
    ports.sweep(set)
    assert held() == {port}
    clock.now += 2
    ports.sweep(set)
    assert held() == set()


def test_one_in_use_is_kept_however_old(ports, clock, held):
    port = ports.reserve("s1")
    ports.release(port)
    clock.now += 100 * KEPT
    ports.sweep(lambda: {port})
    assert held() == {port}


def test_one_whose_worker_died_before_it_said_so_is_given_up(ports, clock, held, tmp_path):
    port = ports.reserve("s1")
    os.utime(tmp_path / str(port), (clock.now - KEPT - 1, clock.now - KEPT - 1))
    ports.sweep(set)
    assert held() == set()


def test_one_that_was_never_reserved_can_be_released(ports, held):
    ports.release(8888)
    assert held() == set()
