"""Ports: the usual ones, free ones that are kept, and a clear word when one is taken."""

import os
import socket
from collections.abc import Iterator

import pytest

from hubbub.free_port import free_port
from hubbub_local import ports
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder
from hubbub_local.ports import Wish


@pytest.fixture
def taken() -> Iterator[int]:
    """A port this process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free() -> int:
    return free_port()


def test_the_usual_port_is_taken_when_it_is_free(data: Folder, free: int) -> None:
    assert ports.choose(data, {"hub": Wish(what="the hub", usual=free)}) == {"hub": free}


def test_another_is_chosen_and_kept_when_the_usual_one_is_taken(data: Folder, taken: int) -> None:
    wishes = {"hub": Wish(what="the hub", usual=taken), "nats": Wish(what="NATS")}
    chosen = ports.choose(data, wishes)
    assert taken not in chosen.values()
    assert len(set(chosen.values())) == 2
    assert ports.choose(data, wishes) == chosen


def test_any_free_ports_pass_over_the_usual_one_and_are_kept(data: Folder, free: int) -> None:
    wishes = {"hub": Wish(what="the hub", usual=free)}
    chosen = ports.choose(data, wishes, any_free=True)
    assert chosen["hub"] != free
    assert ports.choose(data, wishes, any_free=True) == chosen


def test_a_configured_port_that_is_taken_is_an_error_naming_it_and_its_holder(data: Folder, taken: int) -> None:
    with pytest.raises(StackError, match=rf"^port {taken} for the hub is taken by \S+ \(process {os.getpid()}\)$"):
        ports.choose(data, {"hub": Wish(what="the hub", configured=taken)})
    assert not data.ports.exists()


def test_a_kept_port_that_is_taken_at_a_later_start_is_an_error_naming_it_and_its_holder(data: Folder) -> None:
    wishes = {"hub": Wish(what="the hub")}
    kept = ports.choose(data, wishes)["hub"]
    with (
        socket.create_server(("127.0.0.1", kept)),
        pytest.raises(StackError, match=rf"port {kept} for the hub, .*used before.* \(process {os.getpid()}\)"),
    ):
        ports.choose(data, wishes)


def test_a_port_held_by_a_part_of_the_same_hub_is_no_error(data: Folder, taken: int) -> None:
    wishes = {"public": Wish(what="the public address", configured=taken)}
    assert ports.choose(data, wishes, is_ours=lambda pid: pid == os.getpid()) == {"public": taken}


def test_a_configured_port_replaces_a_kept_one(data: Folder, free: int) -> None:
    ports.choose(data, {"hub": Wish(what="the hub")})
    assert ports.choose(data, {"hub": Wish(what="the hub", configured=free)}) == {"hub": free}
    assert ports.choose(data, {"hub": Wish(what="the hub")}) == {"hub": free}


def test_an_address_of_another_machine_is_named(data: Folder) -> None:
    with pytest.raises(StackError, match=r"cannot listen on 192\.0\.2\.1"):
        ports.choose(data, {"hub": Wish(what="the hub", host="192.0.2.1", configured=8081)})


@pytest.mark.parametrize("host", ["", "0.0.0.0", "127.0.0.1"])
def test_a_port_is_not_free_on_any_host_that_covers_its_holder(taken: int, host: str) -> None:
    assert not ports.is_free(host, taken)


@pytest.mark.parametrize("text", ["{", "[]", '{"hub": "8081"}', '{"hub": 70000}'])
def test_a_damaged_file_is_named(data: Folder, text: str) -> None:
    data.ports.write_text(text)
    with pytest.raises(StackError, match=r"ports\.json is damaged"):
        ports.choose(data, {"hub": Wish(what="the hub")})
