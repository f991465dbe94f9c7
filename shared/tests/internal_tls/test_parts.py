"""Who talks to whom with internal TLS: every pair of parts, tried."""

from itertools import product

import pytest

from hubbub.internal_tls.parts import PARTS
from hubbub.testing.tls import authorities, issued, shaken

#: Who asks, and whom.
MAY = {
    ("hub-internal", "hub-internal"),
    ("hub-internal", "auth"),
    ("hub-internal", "server"),
    ("hub-internal", "service"),
    ("proxy-client", "hub-internal"),
    ("proxy-client", "server"),
    ("proxy-client", "service"),
    ("proxy-sync", "proxy-api"),
    ("server", "hub-internal"),
    ("service", "hub-internal"),
    ("worker", "server"),
    ("worker", "service"),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    found = authorities(folder / "authorities")
    return {part: issued(found, folder / part, part) for part in PARTS}


@pytest.mark.parametrize(("asks", "serves"), list(product(sorted(PARTS), sorted(PARTS))))
def test_a_part_talks_to_those_it_has_to_and_to_nobody_else(files, asks, serves):
    assert ((asks, serves) in MAY) == shaken(files[serves], files[asks])


@pytest.mark.parametrize("serves", sorted(part for part in PARTS if PARTS[part].serves))
def test_nobody_takes_a_stranger(files, serves):
    assert not shaken(files[serves], None)


@pytest.mark.parametrize("serves", sorted(part for part in PARTS if PARTS[part].serves))
def test_nobody_takes_a_part_of_another_house(files, serves, tmp_path):
    other = authorities(tmp_path / "other")
    theirs = {part: issued(other, tmp_path / part, part) for part in PARTS}
    assert not any(shaken(files[serves], theirs[asks]) for asks in PARTS)


def test_a_server_is_found_by_its_own_names_alone(tmp_path):
    found = authorities(tmp_path / "authorities")
    server = issued(found, tmp_path / "s", "server", ["IP:10.0.0.7", "DNS:*.example.org"])
    worker = issued(found, tmp_path / "w", "worker", [])
    assert shaken(server, worker, "10.0.0.7")
    assert shaken(server, worker, "ada.example.org")
    assert not shaken(server, worker, "127.0.0.1")
    assert not shaken(server, worker, "example.org")


def test_what_a_worker_has_is_no_use_to_pose_as_the_hub(files):
    assert not shaken(files["worker"], files["server"])
