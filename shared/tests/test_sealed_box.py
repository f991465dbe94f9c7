"""What travels sealed is opened by who asked for it, for what it was meant, and by nobody else."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest

from hubbub.sealed_box import Box, Unsealable, seal

ABOUT = "hub.rpc.moved.proxy.p1"


def test_who_asks_reads_it():
    box = Box()
    for secret in ("token-of-the-proxy", "", "ü" * 500):
        sealed = seal(box.key, secret, ABOUT)
        assert secret == box.open(sealed, ABOUT)
        assert not secret or secret not in sealed


def test_the_same_secret_never_looks_the_same():
    box = Box()
    assert seal(box.key, "secret", ABOUT) != seal(box.key, "secret", ABOUT)


def test_nobody_else_reads_it_nor_is_it_good_for_anything_else():
    box = Box()
    sealed = seal(box.key, "secret", ABOUT)
    with pytest.raises(Unsealable):
        Box().open(sealed, ABOUT)
    with pytest.raises(Unsealable):
        box.open(sealed, "hub.rpc.moved.proxy.p2")


@pytest.mark.parametrize("place", [0, 31, 32, -1])
def test_what_was_changed_on_its_way_is_refused(place: int):
    box = Box()

    data = bytearray(urlsafe_b64decode(seal(box.key, "secret", ABOUT)))
    data[place] ^= 1
    with pytest.raises(Unsealable):
        box.open(urlsafe_b64encode(bytes(data)).decode(), ABOUT)


@pytest.mark.parametrize("nonsense", ["", "x", "%%%", urlsafe_b64encode(bytes(32)).decode(), "ü", "A" * 2000])
def test_nonsense_is_refused(nonsense: str):
    with pytest.raises(Unsealable):
        seal(nonsense, "secret", ABOUT)
    with pytest.raises(Unsealable):
        Box().open(nonsense, ABOUT)
