"""What an attempt has left on its host is found by its API token, and nothing else is touched."""

import os
import signal
import subprocess
import sys

import pytest

from hubbub.tokens import new_token, token_hash
from hubbub_spawner_worker import strays


@pytest.fixture
def begin():
    """Begins a process that has a token in its environment, and may be deaf to SIGTERM."""
    begun = []

    def begin(token, *, deaf=False):
        deafness = "signal.signal(signal.SIGTERM, signal.SIG_IGN);" if deaf else ""
        code = f"import signal; {deafness} print('ready', flush=True); signal.pause()"
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "JUPYTERHUB_API_TOKEN": token},
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        begun.append(process)
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


async def test_all_that_have_the_token_are_ended_and_nobody_else(begin):
    token = new_token()
    first, second, other = begin(token), begin(token), begin(new_token())
    assert await strays.end(token_hash(token))
    assert (first.wait(), second.wait()) == (-signal.SIGTERM, -signal.SIGTERM)
    assert other.poll() is None
    assert not await strays.end(token_hash(token))


async def test_what_does_not_listen_is_killed(begin, monkeypatch):
    monkeypatch.setattr(strays, "_GRACE", 0.2)
    token = new_token()
    process = begin(token, deaf=True)
    assert await strays.end(token_hash(token))
    assert process.wait() == -signal.SIGKILL


async def test_an_attempt_without_a_token_has_none(begin):
    process = begin("")
    assert not await strays.end("")
    assert process.poll() is None
