"""Releases that were frozen: this one reads what they wrote and said, and they read what this one says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from hubbub.domain.message import Json
from hubbub.releases import FIRST, READ_SINCE, number
from hubbub.views import VIEWS

HERE = Path(__file__).parent
RELEASES = HERE.parents[1] / "tests" / "releases"
FROZEN = sorted((path.name for path in RELEASES.iterdir() if (path / "messages.json").exists()), key=number)

pytestmark = pytest.mark.parametrize("release", FROZEN)

#: What an older release cannot read, and why that does no harm.
UNREADABLE: dict[str, str] = {}


def samples(what: str, given: str = "", *, of: str = "") -> Json:
    """What samples.py prints, run by this release or by an older one."""
    wheels = os.pathsep.join(str(path) for path in (RELEASES / of).glob("*.whl")) if of else ""
    run = [sys.executable, str(RELEASES / "samples.py"), what]
    environ = {**os.environ, "PYTHONPATH": wheels}
    said = subprocess.run(run, input=given, capture_output=True, text=True, check=True, env=environ)
    found: Json = json.loads(said.stdout)
    return found


def test_there_is_a_frozen_release(release: str):
    assert FROZEN[0] == FIRST


def test_every_event_that_it_knew_is_still_in_the_corpus(release: str):
    """Which is decoded by its own tests."""
    then = json.loads((RELEASES / release / "events.json").read_text())["events"]
    now = json.loads((HERE / "golden" / "events.json").read_text())["events"]
    assert now[: len(then)] == then


def test_all_that_it_said_is_still_understood(release: str):
    assert samples("read", (RELEASES / release / "messages.json").read_text()) == {}


def test_it_understands_all_that_is_said_now(release: str):
    said = json.dumps(samples("write"))
    assert samples("read", said, of=release).keys() == UNREADABLE.keys()


def test_no_event_that_it_cannot_read_is_written_beside_it(release: str):
    """Of each type and field that is new there has to be an entry in `hubbub.releases.READ_SINCE`."""
    known = samples("fields", of=release)
    news = set()
    for view in VIEWS.values():
        for event in view.decider.events.__args__:
            kind = event.__name__
            fields = {field.encode_name for field in msgspec.structs.fields(event)}
            news |= {f"{kind}.{field}" for field in fields - set(known[kind])} if kind in known else {kind}
    assert news == {name for name, since in READ_SINCE.items() if number(since) > number(release)}
