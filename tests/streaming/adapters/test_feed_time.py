"""The clock of a replay against the newest time so far, which it is unless a time stands alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.adapters.feed_time import LEAP_NS, event_clock

BEFORE = -(2**63)
SECOND = 1_000_000_000


def clock(seconds: list[int], newest: int = BEFORE) -> list[int]:
    """Return the clock in seconds."""
    found = event_clock(np.array(seconds, np.int64) * SECOND, newest * SECOND if newest != BEFORE else BEFORE)
    return [value // SECOND for value in found.tolist()]


@given(st.lists(st.integers(-LEAP_NS // 2, LEAP_NS // 2), min_size=1, max_size=50), st.integers(0, LEAP_NS))
def test_disorder_within_a_minute_is_the_newest_time_so_far(offsets: list[int], newest: int) -> None:
    times = np.array(offsets, np.int64) + 10 * LEAP_NS
    expected = np.maximum(np.maximum.accumulate(times), newest)
    assert event_clock(times, newest).tolist() == expected.tolist()


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=50))
def test_times_in_order_may_be_any_time_apart(steps: list[int]) -> None:
    times = np.cumsum(steps).tolist()
    assert clock(times) == times


def test_a_time_that_stands_alone_is_not_believed() -> None:
    assert clock([0, 1, 999_999, 2, 3, 4, 5]) == [0, 1, 2, 2, 3, 4, 5]
    assert clock([999_999, 0, 1, 2, 3, 4, 5]) == [0, 0, 1, 2, 3, 4, 5]
    assert clock([0, 1, 999_999, 999_999, 2, 3, 4, 5]) == [0, 1, 2, 2, 2, 3, 4, 5]


def test_a_time_that_the_next_rows_bear_out_is() -> None:
    assert clock([0, 1, 500, 501, 502, 2, 503]) == [0, 1, 500, 501, 502, 502, 503]


def test_late_rows_do_not_hold_it_back_for_long() -> None:
    assert clock([500, 501, 0, 1, 502, 503, 504]) == [500, 501, 501, 501, 502, 503, 504]


def test_the_last_row_has_no_witness_but_itself() -> None:
    assert clock([0, 1, 2, 500]) == [0, 1, 2, 500]


@pytest.mark.parametrize("wild", [2**63 - 1, -(2**63)])
def test_the_largest_numbers_do_not_wrap(wild: int) -> None:
    times = np.array([0, 1, wild, 2, 3, 4, 5], np.int64)
    assert event_clock(times, BEFORE).tolist() == [0, 1, 2 if wild > 0 else 1, 2, 3, 4, 5]


def test_nothing_has_no_clock() -> None:
    assert clock([]) == []
