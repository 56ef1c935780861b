import numpy as np
import pytest

from tests.trading.market.frames import DAY, MINUTE, OPEN
from trading.market.intervals import DAY as DAILY
from trading.market.intervals import LENGTHS_NS, NAMES, name_of, start_of, starts_of
from trading.market.sessions import DAY_NS, calendar


@pytest.mark.parametrize("interval", range(len(NAMES)))
def test_every_interval_starts_at_or_before_its_minutes(interval: int) -> None:
    exchange = calendar("XNYS")
    minutes = OPEN + np.arange(400) * MINUTE
    sessions = exchange.local_dates(minutes)
    starts = starts_of(minutes, sessions, interval, exchange)
    pairs = zip(minutes.tolist(), sessions.tolist(), strict=True)
    assert starts.tolist() == [start_of(minute, session, interval, exchange) for minute, session in pairs]
    assert ((starts <= minutes) & (minutes < starts + LENGTHS_NS[interval])).all()


def test_names_and_the_day() -> None:
    assert [name_of(length // 10**9) for length in LENGTHS_NS] == list(NAMES)
    assert start_of(OPEN, DAY // DAY_NS, DAILY, calendar("XNYS")) == DAY + 5 * 60 * MINUTE
    assert start_of(OPEN, DAY // DAY_NS, DAILY, calendar("24/7")) == DAY
