"""Routes: what was done, and what is to be done."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.domain.message import Event
from hubbub.domain.route import AddRoute, Change, NoRoute, RemoveRoute, Route, RouteAdded, RouteRemoved, decider, plan
from hubbub.testing.given import after
from hubbub.testing.given import given as given_of

HERE, THERE = "http://10.0.0.5:8888", "http://10.0.0.6:8888"
COMMON: dict[str, Any] = {"proxy": "p1", "server": "s1"}

added = RouteAdded(**COMMON, attempt=1, target=HERE, reason="missing")
moved = RouteAdded(**COMMON, attempt=1, target=THERE, reason="")
again = RouteAdded(**COMMON, attempt=2, target=HERE, reason="")
removed = RouteRemoved(reason="not wanted")


@pytest.mark.parametrize(
    ("history", "command", "outcome"),
    [
        ([], AddRoute(**COMMON, attempt=1, target=HERE, reason="missing"), [added]),
        ([added], AddRoute(**COMMON, attempt=1, target=HERE, reason="told again"), []),
        ([added, removed], AddRoute(**COMMON, attempt=1, target=HERE, reason="missing"), [added]),
        ([added], AddRoute(**COMMON, attempt=1, target=THERE), [moved]),
        ([added], AddRoute(**COMMON, attempt=2, target=HERE), [again]),
        ([], RemoveRoute(), []),
        ([added], RemoveRoute(reason="not wanted"), [removed]),
        ([added, removed], RemoveRoute(), []),
    ],
)
def test_a_report_is_an_event_if_it_is_news(history: list[Event], command: Any, outcome: list[Event]) -> None:
    given_of(decider, *history).when(command).then(*outcome)  # type: ignore[arg-type]


def test_a_route_is_what_was_last_said_of_it() -> None:
    assert after(decider, [added]) == Route(**COMMON, attempt=1, target=HERE)
    assert after(decider, [added, removed]) == NoRoute()


@pytest.mark.parametrize(
    ("desired", "actual", "changes"),
    [
        ({}, {}, []),
        ({"/a": HERE}, {"/a": HERE}, []),
        ({"/a": HERE}, {}, [Change(spec="/a", target=HERE, reason="missing")]),
        ({"/a": HERE}, {"/a": THERE}, [Change(spec="/a", target=HERE, reason="wrong target")]),
        ({}, {"/a": HERE}, [Change(spec="/a", target=None, reason="not wanted")]),
    ],
)
def test_what_is_to_be_done(desired: dict[str, str], actual: dict[str, str], changes: list[Change]) -> None:
    assert list(plan(desired, actual)) == changes


specs = st.sampled_from(["/", "/user/a/", "/user/b/", "/user/b/lab/", "/services/x/"])
tables = st.dictionaries(specs, st.sampled_from([HERE, THERE]))


def applied(changes: list[Change], actual: dict[str, str]) -> dict[str, str]:
    table = dict(actual)
    for change in changes:
        if change.target is None:
            del table[change.spec]
        else:
            table[change.spec] = change.target
    return table


@given(tables, tables)
def test_the_plan_leads_to_what_is_wanted(desired: dict[str, str], actual: dict[str, str]) -> None:
    assert applied(list(plan(desired, actual)), actual) == desired


@given(tables, tables, st.sets(specs))
def test_the_plan_touches_only_what_differs_and_is_not_being_changed(
    desired: dict[str, str], actual: dict[str, str], pending: set[str]
) -> None:
    changes = list(plan(desired, actual, pending))
    touched = [change.spec for change in changes]
    differing = {spec for spec in desired.keys() | actual.keys() if desired.get(spec) != actual.get(spec)}
    assert len(touched) == len(set(touched))
    assert set(touched) == differing - pending
    later = applied(changes, actual)
    assert all(later.get(spec) == actual.get(spec) for spec in pending)


@given(tables, tables, st.sets(specs))
def test_when_the_plan_is_carried_out_nothing_is_left_of_it(
    desired: dict[str, str], actual: dict[str, str], pending: set[str]
) -> None:
    assert list(plan(desired, applied(list(plan(desired, actual, pending)), actual), pending)) == []
