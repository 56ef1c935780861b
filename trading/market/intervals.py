"""The five bar intervals and where their bars begin. Intraday bars align to UTC, the daily bar to the session date."""

from typing import Final

import numpy as np

from trading.market.batches import Array
from trading.market.sessions import SECOND_NS, Calendar

NAMES: Final = ("1m", "5m", "15m", "1h", "1d")
SECONDS: Final = (60, 300, 900, 3_600, 86_400)
LENGTHS_NS: Final = tuple(seconds * SECOND_NS for seconds in SECONDS)
MINUTE_NS: Final = LENGTHS_NS[0]
DAY: Final = len(NAMES) - 1


def name_of(seconds: int) -> str:
    """Return the name of an interval, such as `5m`."""
    return NAMES[SECONDS.index(seconds)]


def starts_of(minutes_ns: Array, sessions: Array, interval: int, calendar: Calendar) -> Array:
    """Return the start of the bar of interval number `interval` that holds each one-minute bar."""
    if interval == DAY:
        return calendar.midnights_ns(sessions)
    return minutes_ns - minutes_ns % np.int64(LENGTHS_NS[interval])


def start_of(minute_ns: int, session: int, interval: int, calendar: Calendar) -> int:
    """Return `starts_of` for one bar."""
    if interval == DAY:
        return calendar.midnight_ns(session)
    return minute_ns - minute_ns % LENGTHS_NS[interval]
