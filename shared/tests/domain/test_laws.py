"""What is true of every aggregate, whatever is asked of it and in whatever order."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.domain import house
from hubbub.domain.grant import Kind
from hubbub.domain.message import REFUSALS, Event, Json, Rejected, State
from hubbub.domain.proxy import Mended
from hubbub.domain.server_messages import Failure, Reach
from hubbub.domain.service import Spec
from hubbub.testing.given import after, stored
from hubbub.views import VIEWS, View

NOW = datetime(2026, 1, 1, tzinfo=UTC)
texts = st.sampled_from(["", "a", "ada", "ünï\u2028\x00", '"{}'])
times = st.builds(lambda seconds: NOW + timedelta(seconds=seconds), st.floats(0, 9e8))
values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
jsons = st.dictionaries(
    texts, st.recursive(values, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=5), max_size=2
)

# By type, and where that would hardly ever meet the state, by the field's name.
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    int: st.integers(0, 3),
    float: st.floats(0, 3),
    dict[str, float]: st.dictionaries(texts, st.floats(0, 3), max_size=2),
    bool: st.booleans(),
    datetime: times,
    datetime | None: st.none() | times,
    str | None: st.none() | texts,
    tuple[str, ...]: st.lists(texts, max_size=3).map(tuple),
    Failure: st.builds(Failure, reason=texts, message=texts),
    Json: jsons,
    Kind: st.sampled_from(get_args(Kind)),
    house.Kind: st.sampled_from(get_args(house.Kind)),
    Reach: st.sampled_from(get_args(Reach)),
    tuple[Mended, ...]: st.lists(
        st.builds(Mended, server=texts, found=st.none() | texts, made=st.none() | texts), max_size=3
    ).map(tuple),
    tuple[str, ...] | None: st.none() | st.lists(texts, max_size=3).map(tuple),
    Spec: st.builds(Spec, name=texts, info=jsons, oauth_client_id=texts),
}
BY_NAME: dict[str, st.SearchStrategy[Any]] = {"worker": st.sampled_from(["w1", "w2"]), "attempt": st.integers(0, 2)}


def commands(view: View) -> st.SearchStrategy[Any]:
    def of(kind: Any) -> st.SearchStrategy[Any]:
        fields = msgspec.structs.fields(kind)
        return st.builds(kind, **{f.name: BY_NAME.get(f.name, BY_TYPE[f.type]) for f in fields})

    return st.one_of(*[of(kind) for kind in view.decider.commands.__args__])


def told(view: View, story: list[Any]) -> tuple[State, list[Event]]:
    """The state and the events that come of *story*; what is refused is passed over."""
    state, log = view.decider.initial, []
    for command in story:
        try:
            events = view.decider.decide(state, command)
        except Rejected as refusal:
            if type(refusal).__name__ not in REFUSALS:
                raise AssertionError("a refusal that cannot be sent over the bus") from refusal
            continue
        log += events
        state = after(view.decider, events, state)
    return state, log


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@given(data=st.data())
def test_any_story_can_be_told_and_retold(view: View, data: st.DataObject) -> None:
    """No crash, and a replay from bytes ends in the same place."""
    state, log = told(view, data.draw(st.lists(commands(view), max_size=25)))
    assert state == after(view.decider, stored(view.decider, log))


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@given(data=st.data())
def test_a_state_survives_its_row(view: View, data: st.DataObject) -> None:
    """What is read back from a view is what was written, and a row has the columns that the view says."""
    state, _ = told(view, data.draw(st.lists(commands(view), max_size=12)))
    assert state == view.decode_state(msgspec.json.encode(state).decode())
    row = view.row(state)
    assert row is None or len(row) == len(view.columns)
    assert (row is None) == (state == view.decider.initial)


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_deciding_never_changes_the_state_it_is_asked_of(view: View) -> None:
    for state in view.decider.states.__args__:
        assert state.__struct_config__.frozen
    for event in view.decider.events.__args__:
        assert event.__struct_config__.frozen


def test_no_two_messages_share_a_name() -> None:
    """One name everywhere: the class, the JSON type, the column, the log line."""
    names = [event.__name__ for view in VIEWS.values() for event in view.decider.events.__args__]
    assert len(names) == len(set(names))
    tags = [event.__struct_config__.tag for view in VIEWS.values() for event in view.decider.events.__args__]
    assert names == tags


def test_whatever_is_personal_says_whose_it_is() -> None:
    for view in VIEWS.values():
        for event in view.decider.events.__args__:
            fields = event.__struct_fields__
            assert not event.personal or "user" in fields, event
            assert set(event.personal) <= set(fields), event
            assert "user" not in event.personal, event
            text = {f.name for f in msgspec.structs.fields(event) if f.type is str}
            assert set(event.personal) <= text, "only text can be sealed"
