"""Whatever was missed shows."""

from hubbub_proxy_sync.cursor import Cursor


def test_events_in_order_miss_nothing() -> None:
    cursor = Cursor()
    assert [cursor.hear("a", position) for position in (7, 8, 9, 10)] == [False] * 4


def test_a_gap_is_noticed_once() -> None:
    cursor = Cursor()
    assert [cursor.hear("a", position) for position in (7, 9, 10)] == [False, True, False]


def test_an_event_that_is_heard_again_is_no_gap() -> None:
    cursor = Cursor()
    assert [cursor.hear("a", position) for position in (7, 8, 7, 8, 9)] == [False] * 5


def test_another_epoch_is_another_log() -> None:
    cursor = Cursor()
    cursor.hear("a", 7)
    assert cursor.hear("b", 8)
    assert not cursor.hear("b", 9)
    assert cursor.beat("c", 9)


def test_what_the_head_promises_has_a_beat_to_come() -> None:
    cursor = Cursor()
    cursor.beat("a", 7)
    assert not cursor.beat("a", 9)
    cursor.hear("a", 8)
    cursor.hear("a", 9)
    assert not cursor.beat("a", 9)


def test_what_the_head_promised_and_never_came_was_missed() -> None:
    cursor = Cursor()
    cursor.beat("a", 7)
    assert not cursor.beat("a", 9)
    assert cursor.beat("a", 9)
    assert not cursor.beat("a", 9)
    assert not cursor.hear("a", 10)
