"""Times keep their instant on the way out and in."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.api import times
from streaming.api.errors import ApiError


@given(st.integers(0, 4 * 10**18))
def test_microseconds_come_back(ts_ns: int) -> None:
    assert times.parse("at", times.to_text(ts_ns)) == ts_ns // 1_000 * 1_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02", 86_400),
        ("1970-01-01T00:00:01", 1),
        ("1970-01-01 01:00:00+01:00", 0),
        ("1970-01-01t00:00:00.5z", 0.5),
        ("1970-01-01T00:00:00-05:00", 18_000),
    ],
)
def test_dates_and_offsets(text: str, seconds: float) -> None:
    assert times.parse("at", text) == seconds * 10**9


@pytest.mark.parametrize(
    "text", ["", "now", "1969-12-31", "2023-02-29", "2023-1-1", "2023-01-01T24:00:00", "\u0662023-01-01"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as error:
        times.parse("after", text)
    assert (error.value.code, error.value.field) == ("AFTER_NOT_A_TIME", "after")


def test_the_clock_shows_its_offset() -> None:
    ts_ns = int(datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()) * 10**9
    assert times.to_offset_text(ts_ns, -5 * 3_600 * 10**9) == "2024-01-01T22:04:05-05:00"
    assert times.to_offset_text(ts_ns) == "2024-01-02T03:04:05+00:00"
