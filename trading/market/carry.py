"""Minutes without trades: which ones get a bar of the last close, and at what price (policy `carry`)."""

import numpy as np

from trading.market.batches import Array
from trading.market.intervals import MINUTE_NS
from trading.market.sessions import DAY_NS, Calendar

# After a longer silence of the feed (a weekend and a holiday fit) only the newest part is filled.
CARRY_LIMIT_NS = 4 * DAY_NS


def open_minutes(calendar: Calendar, from_ns: int, to_ns: int) -> Array:
    """Return the starts of the minutes of regular sessions in [from_ns, to_ns), as int64."""
    parts = []
    for date in range(calendar.local_date(from_ns), calendar.local_date(to_ns) + 1):
        hours = calendar.hours_ns(date)
        if hours is not None:
            parts.append(np.arange(max(hours[0], from_ns), min(hours[1], to_ns), MINUTE_NS, dtype=np.int64))
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def carried_closes(minutes: Array, starts: Array, closes: Array) -> tuple[Array, Array]:
    """Return the minutes without a bar, and for each the close of the newest bar before it.

    `starts` (ascending) and `closes` are the bars that exist. Minutes before the first bar are left out.
    """
    before = np.searchsorted(starts, minutes, side="right") - 1
    known = before >= 0
    minutes, before = minutes[known], before[known]
    missing = starts[before] != minutes
    return minutes[missing], closes[before[missing]]
