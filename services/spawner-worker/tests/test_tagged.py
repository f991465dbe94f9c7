"""User options with bytes in them, stored as JSON."""

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from hubbub_spawner_worker.tagged import TAG, revived, tagged

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
NAMES = st.text().filter(lambda name: name != TAG)
OPTIONS = st.dictionaries(NAMES, st.recursive(PLAIN, lambda below: st.lists(below) | st.dictionaries(NAMES, below)))


@given(OPTIONS)
def test_what_is_stored_comes_back_as_it_was(options):
    assert revived(json.loads(json.dumps(tagged(options)))) == options


def test_the_form_is_jupyterhubs():
    options = {"notes_file": [{"filename": "n", "body": b"\x00\xff"}]}
    stored = {"notes_file": [{"filename": "n", "body": {"__jupyterhub_bytes__": True, "data": "AP8="}}]}
    assert tagged(options) == stored
    long = bytes(range(256))
    assert revived({TAG: True, "data": base64.encodebytes(long).decode()}) == long


def test_what_is_no_json_becomes_null():
    assert tagged({"a": {1, 2}, "b": object(), 3: (1, "x")}) == {"a": None, "b": None, "3": [1, "x"]}


def test_damaged_bytes_are_null_and_a_tag_that_says_no_is_none():
    for damaged in ({TAG: True}, {TAG: True, "data": 5}, {TAG: True, "data": "A"}):
        assert revived({"f": damaged}) == {"f": None}
    assert revived({TAG: False, "x": 1}) == {TAG: False, "x": 1}
