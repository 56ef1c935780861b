from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.market import sessions_table
from trading.market.sessions import DAY_NS, SECOND_NS, calendar

EPOCH = date(1970, 1, 1)
NEW_YORK = ZoneInfo("America/New_York")
XNYS, ALWAYS = calendar("XNYS"), calendar("24/7")
SECONDS = st.integers(sessions_table.FIRST_DAY * 86_400, sessions_table.LAST_DAY * 86_400)


def day(text: str) -> int:
    return (date.fromisoformat(text) - EPOCH).days


def at(text: str) -> int:
    """Return a New York wall time in ns."""
    return int(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()) * SECOND_NS


@given(st.lists(SECONDS, min_size=1, max_size=20))
def test_local_dates_are_those_of_the_zone_database(seconds: list[int]) -> None:
    wanted = [(datetime.fromtimestamp(second, UTC).astimezone(NEW_YORK).date() - EPOCH).days for second in seconds]
    found = XNYS.local_dates(np.array(seconds) * SECOND_NS)
    assert found.dtype == np.int32
    assert found.tolist() == wanted
    assert [XNYS.local_date(second * SECOND_NS) for second in seconds] == wanted


@given(st.integers(sessions_table.FIRST_DAY + 1, sessions_table.LAST_DAY))
def test_midnight_is_the_first_instant_of_its_date(number: int) -> None:
    midnight = XNYS.midnight_ns(number)
    assert (XNYS.local_date(midnight - 1), XNYS.local_date(midnight)) == (number - 1, number)
    assert midnight == at((EPOCH + timedelta(days=number)).isoformat())


def test_extended_hours_belong_to_the_date_of_the_wall_clock() -> None:
    monday = day("2013-10-07")
    assert XNYS.local_dates(np.array([at("2013-10-07T04:00"), at("2013-10-07T20:00")])).tolist() == [monday, monday]


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("2026-03-06", ("09:30", "16:00")),
        ("2026-03-09", ("09:30", "16:00")),
        ("2024-11-29", ("09:30", "13:00")),
        ("2025-12-24", ("09:30", "13:00")),
    ],
)
def test_hours(text: str, hours: tuple[str, str]) -> None:
    opens, closes = at(f"{text}T{hours[0]}"), at(f"{text}T{hours[1]}")
    assert XNYS.hours_ns(day(text)) == (opens, closes)
    assert [XNYS.is_open(ts) for ts in (opens - 1, opens, closes - 1, closes)] == [False, True, True, False]


@pytest.mark.parametrize("text", ["2001-09-11", "2012-10-29", "2025-01-09", "2026-07-03", "2027-12-24", "2026-03-07"])
def test_days_without_a_session(text: str) -> None:
    assert XNYS.hours_ns(day(text)) is None
    assert not XNYS.is_session(day(text))


def test_the_window_holds_two_sessions() -> None:
    assert XNYS.window_start(at("2026-03-02T12:00")) == day("2026-02-27")
    assert XNYS.window_start(at("2026-03-01T12:00")) == day("2026-02-26")
    assert XNYS.window_start(at("2026-07-06T12:00")) == day("2026-07-02")
    assert ALWAYS.window_start(20_000 * DAY_NS) == 19_999
    assert XNYS.window_start(0) == sessions_table.FIRST_DAY + 13


def test_an_always_open_calendar() -> None:
    ts = 20_000 * DAY_NS + 5
    assert (ALWAYS.local_date(ts), ALWAYS.midnight_ns(20_000), ALWAYS.is_open(ts)) == (20_000, 20_000 * DAY_NS, True)
    assert ALWAYS.hours_ns(20_000) == (20_000 * DAY_NS, 20_001 * DAY_NS)
    assert ALWAYS.local_dates(np.zeros(0, np.int64)).tolist() == []


def test_an_unknown_calendar_is_an_error() -> None:
    with pytest.raises(KeyError, match="XNYS"):
        calendar("MARS")
