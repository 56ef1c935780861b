"""A day is asked for when it rests after a change, or has changed for long; never twice for the same rows."""

from hypothesis import given
from hypothesis import strategies as st

from orchestration.due import MAX_DAYS, REPEAT_S, Seen, decide, dump, load

DAY = "2024-03-05"


def test_a_day_that_rests_is_asked_for_once() -> None:
    due, seen = decide({}, {DAY: 10}, 5_000.0)
    assert due == [DAY], "the first look asks at once"
    assert decide(seen, {DAY: 10}, 5_060.0)[0] == []
    due, seen = decide(seen, {DAY: 11}, 5_120.0)
    assert due == []
    due, seen = decide(seen, {DAY: 11}, 5_180.0)
    assert due == [DAY]
    assert decide(seen, {DAY: 11}, 99_999.0)[0] == []


def test_a_day_that_never_rests_is_asked_for_now_and_then() -> None:
    seen: dict[str, Seen] = {}
    asked = 0
    for minute in range(60):
        due, seen = decide(seen, {DAY: minute}, 10_000.0 + minute * 60)
        asked += len(due)
    assert asked == 3_600 / REPEAT_S


@given(st.dictionaries(st.dates().map(str), st.integers(0, 100), max_size=20), st.floats(0, 1e6))
def test_every_day_has_its_turn(rows: dict[str, int], now_s: float) -> None:
    seen: dict[str, Seen] = {}
    asked: list[str] = []
    for look in range(len(rows) // MAX_DAYS + 2):
        due, seen = decide(seen, rows, now_s + 1e4 * (look + 1))
        assert len(due) <= MAX_DAYS
        asked += due
    assert sorted(asked) == sorted(rows)
    assert load(dump(seen)) == seen


def test_an_unreadable_cursor_means_nothing_was_seen() -> None:
    for text in (None, "", "[1]", '{"a": 1}', '{"a": []}', "{"):
        assert load(text) == {}
