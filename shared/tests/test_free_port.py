"""A port is given to one of those who look for one, also while nobody listens on it yet."""

import random
import subprocess
import sys

import pytest

from hubbub.free_port import claim, free_port

CLAIMS = "from hubbub.free_port import free_port; print(free_port(), flush=True); input()"


def test_a_port_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    given, after = free_port(), free_port()
    tried = iter([given, after, *range(after + 1, after + 100)])
    monkeypatch.setattr(random, "randrange", lambda *_: next(tried))
    assert free_port() not in (given, after)
    assert next(tried) > after + 1, "it was tried, and passed over"


def test_a_port_of_another_process_is_passed_over_until_it_ends() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CLAIMS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        theirs = int(process.stdout.readline())
        assert not claim(theirs)
        process.kill()
    assert claim(theirs)
