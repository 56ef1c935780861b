"""Trading sessions: which local date an instant belongs to, and when an exchange is open.

A session is named by its date on the exchange's wall clock, as days since 1970-01-01, pre-market and after-hours
trading included. The calendars are `24/7` (UTC days, always open) and `XNYS` (New York, from the generated table).
"""

import base64
import zlib
from functools import cache
from typing import Any

import numpy as np

from trading.instruments import CALENDARS
from trading.market import sessions_table as table

Array = np.ndarray[Any, np.dtype[Any]]
SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
DAY_NS = 86_400 * SECOND_NS
# Wall-clock changes happen at 02:00 local time, so one instant between 05:00 and 06:00 UTC sees midnight's offset.
MIDNIGHT_PROBE_NS = 5 * 3600 * SECOND_NS


def unpack(packed: str) -> list[Array]:
    """Return the columns of a packed constant of the generated table, as int64."""
    text = zlib.decompress(base64.b85decode(packed)).decode()
    return [np.cumsum(np.array(column.split(","), dtype=np.int64)) for column in text.split(";")]


class Calendar:
    """Sessions of one exchange. All instants are ns UTC, all dates days since 1970-01-01."""

    def __init__(self, name: str, changes_ns: Array, offsets_ns: Array, open_minute: int, close_minute: int) -> None:
        self.name = name
        self._changes, self._offsets = changes_ns, offsets_ns
        self._open_minute, self._close_minute = open_minute, close_minute
        self._weekends_closed = False
        self._special: dict[int, tuple[int, int]] = {}
        self.first_ns, self.last_ns = table.FIRST_DAY * DAY_NS, table.LAST_DAY * DAY_NS

    def local_date(self, ts_ns: int) -> int:
        """Return the session date of one instant."""
        return int((ts_ns + self._offset(ts_ns)) // DAY_NS)

    def local_dates(self, ts_ns: Array) -> Array:
        """Return the session date of each instant as int32."""
        if not len(ts_ns):
            return np.empty(0, np.int32)
        first, last = self.local_date(int(ts_ns.min())), self.local_date(int(ts_ns.max()))
        if first == last:
            return np.full(len(ts_ns), first, np.int32)
        which = np.searchsorted(self._changes, ts_ns, side="right") - 1
        local = ts_ns + self._offsets[np.maximum(which, 0)]
        return (local // DAY_NS).astype(np.int32)

    def midnight_ns(self, date: int) -> int:
        """Return the first instant of a session date."""
        midnight = date * DAY_NS
        return midnight - self._offset(midnight + MIDNIGHT_PROBE_NS)

    def midnights_ns(self, dates: Array) -> Array:
        """Return the first instant of each session date as int64."""
        unique, inverse = np.unique(dates, return_inverse=True)
        return np.array([self.midnight_ns(int(date)) for date in unique], np.int64)[inverse]

    def hours_ns(self, date: int) -> tuple[int, int] | None:
        """Return the open and the close of the regular session of a date, or None on a day without one."""
        usual = not (self._weekends_closed and (date + 3) % 7 >= 5)
        opens, closes = self._special.get(date, (self._open_minute, self._close_minute) if usual else (0, 0))
        if opens == closes:
            return None
        midnight = date * DAY_NS
        local = midnight + opens * MINUTE_NS, midnight + closes * MINUTE_NS
        # Regular hours lie after any change of the wall clock, so noon's offset holds for both ends.
        offset = self._offset(midnight + DAY_NS // 2 + MIDNIGHT_PROBE_NS) if self._weekends_closed else 0
        return local[0] - offset, local[1] - offset

    def is_session(self, date: int) -> bool:
        """Tell whether there is a regular session on a date."""
        return self.hours_ns(date) is not None

    def is_open(self, ts_ns: int) -> bool:
        """Tell whether the regular session is open at an instant; the close itself is outside."""
        hours = self.hours_ns(self.local_date(ts_ns))
        return hours is not None and hours[0] <= ts_ns < hours[1]

    def window_start(self, ts_ns: int, sessions: int = 2) -> int:
        """Return the date of the `sessions`-th newest session that has begun by the local date of an instant."""
        date = max(self.local_date(ts_ns), table.FIRST_DAY + 7 * sessions)
        left = sessions
        while True:
            left -= self.is_session(date)
            if not left:
                return date
            date -= 1

    def _offset(self, ts_ns: int) -> int:
        which = int(np.searchsorted(self._changes, ts_ns, side="right")) - 1
        return int(self._offsets[max(which, 0)])


@cache
def calendar(name: str) -> Calendar:
    """Return the calendar of this name; raise KeyError for a name that is not in `CALENDARS`."""
    if name == "24/7":
        return Calendar(name, np.zeros(1, np.int64), np.zeros(1, np.int64), 0, 24 * 60)
    if name != "XNYS":
        raise KeyError(f"no calendar {name!r}; known are {', '.join(CALENDARS)}")
    seconds, offsets = unpack(table.NEW_YORK_OFFSETS)
    found = Calendar(name, seconds * SECOND_NS, offsets * SECOND_NS, 570, 960)
    days, opens, closes = (column.tolist() for column in unpack(table.XNYS_SPECIAL_DAYS))
    found._weekends_closed = True
    found._special = dict(zip(days, zip(opens, closes, strict=True), strict=True))
    return found
