"""What proxy-sync tells of how long the proxy took."""

import pytest

from hubbub.route_messages import BOUNDS
from hubbub_proxy_sync.stopwatch import Stopwatch


def test_what_was_noted_is_told_once():
    stopwatch = Stopwatch()
    assert stopwatch.take() is None
    for seconds in (0.005, 0.0051, 0.3, 99.0):
        stopwatch.note("add", seconds, "success")
    stopwatch.note("add", 0.3, "failure")
    with pytest.raises(ZeroDivisionError), stopwatch.timed("poll"):
        _ = 1 / 0
    first = stopwatch.take()
    assert first is not None
    took = {(each.what, each.status): each for each in first.took}
    assert set(took) == {("add", "success"), ("add", "failure"), ("poll", "")}
    added = took["add", "success"]
    assert len(added.counts) == len(BOUNDS) + 1
    assert {BOUNDS[n] if n < len(BOUNDS) else "more": count for n, count in enumerate(added.counts) if count} == {
        0.005: 1,
        0.01: 1,
        0.5: 1,
        "more": 1,
    }
    assert added.seconds == pytest.approx(99.3101)
    assert sum(took["poll", ""].counts) == 1
    assert stopwatch.take() is None
    stopwatch.note("check", 1.0)
    second = stopwatch.take()
    assert second is not None
    assert (second.run, second.number) == (first.run, first.number + 1)
    assert [each.what for each in second.took] == ["check"]
