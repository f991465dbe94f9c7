"""Who has lost the lease; a lease runs only while its judge could hear."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from hubbub_poller.heartbeats import GONE, Watch

LEASE = 10.0


def _awake(watch: Watch, start: float, end: float) -> Iterator[float]:
    """Time passes while the watch is ticked, a second at a time."""
    now = start
    while now < end:
        now += 1
        watch.tick(now)
        yield now


def test_somebody_who_is_heard_is_never_lost() -> None:
    watch = Watch(LEASE, 0)
    for now in _awake(watch, 0, 100):
        watch.hear("w1", now)
        assert watch.lost(now) == ()


def test_somebody_silent_for_more_than_a_lease_is_lost_and_later_gone() -> None:
    watch = Watch(LEASE, 0)
    watch.hear("w1", 0)
    lost_at = next(now for now in _awake(watch, 0, 100) if watch.lost(now))
    gone_at = next(now for now in _awake(watch, lost_at, 100) if watch.gone(now))
    assert (lost_at, gone_at) == (11, 61)
    assert watch.lost(gone_at) == ("w1",)


def test_nobody_is_missed_who_was_never_heard_of() -> None:
    watch = Watch(LEASE, 0)
    assert [watch.lost(now) for now in _awake(watch, 0, 30)] == [()] * 30


def test_somebody_who_should_be_there_has_a_lease_to_show() -> None:
    watch = Watch(LEASE, 0)
    [*_awake(watch, 0, 20)]
    watch.expect(["w1"], 20)
    watch.expect(["w1"], 21)
    assert next(now for now in _awake(watch, 20, 100) if watch.lost(now)) == 31


def test_somebody_forgotten_is_not_missed() -> None:
    watch = Watch(LEASE, 0)
    watch.hear("w1", 0)
    watch.forget(["w1", "w2"])
    assert [watch.lost(now) for now in _awake(watch, 0, 30)] == [()] * 30


def test_after_deafness_all_leases_start_afresh() -> None:
    watch = Watch(LEASE, 0)
    watch.hear("w1", 0)
    [*_awake(watch, 0, 9)]
    watch.afresh(9)
    assert next(now for now in _awake(watch, 9, 100) if watch.lost(now)) == 20


def test_after_our_own_sleep_nobody_is_lost_at_once() -> None:
    watch = Watch(LEASE, 0)
    watch.hear("w1", 0)
    assert watch.lost(500) == ()
    assert next(now for now in _awake(watch, 500, 600) if watch.lost(now)) == 511


@given(st.lists(st.tuples(st.floats(0.01, 30), st.booleans()), max_size=50))
def test_whoever_is_lost_was_silent_for_a_lease_while_we_were_awake(steps: list[tuple[float, bool]]) -> None:
    """Whatever happens: between two signs of life of ours more than half a lease apart, nothing counts."""
    watch, now, silence = Watch(LEASE, 0), 0.0, 0.0
    watch.hear("w1", 0)
    for pause, heard in steps:
        now += pause
        silence = silence + pause if pause <= LEASE / 2 else 0.0
        if heard:
            watch.hear("w1", now)
            silence = 0.0
        lost = watch.lost(now)
        assert not lost or silence > LEASE * 0.999
        assert set(watch.gone(now)) <= set(lost)
        assert not watch.gone(now) or silence > LEASE * GONE * 0.999
