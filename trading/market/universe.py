"""The instruments of one venue as columns, in order of their ids: scales, calendars and shards by row number."""

from collections.abc import Iterable, Sequence

import numpy as np

from trading.instruments import Instrument
from trading.market.batches import Array
from trading.market.sessions import Calendar, calendar
from trading.market.shards import shard_of

# A feed repeats a few symbol dictionaries; the cache is emptied when a feed does not.
CACHED_DICTIONARIES = 256


class Universe:
    """Columns of one venue's instruments; `UNKNOWN` is the row number of every symbol that is not among them."""

    UNKNOWN = -1

    def __init__(self, instruments: Iterable[Instrument], shards: int) -> None:
        self.instruments = tuple(sorted(instruments, key=lambda instrument: instrument.id))
        self.ids = [instrument.id for instrument in self.instruments]
        self.price_factor = np.array([10.0**i.price_scale for i in self.instruments])
        self.qty_factor = np.array([10.0**i.qty_scale for i in self.instruments])
        self.shard = np.array([shard_of(id_, shards) for id_ in self.ids], np.int64)
        self.shards_used = sorted({int(shard) for shard in self.shard})
        names = sorted({instrument.calendar for instrument in self.instruments})
        self.calendars: list[Calendar] = [calendar(name) for name in names]
        self.calendar_of = np.array([names.index(i.calendar) for i in self.instruments], np.int64)
        self._rows = {instrument.symbol: row for row, instrument in enumerate(self.instruments)}
        self._mappings: dict[tuple[str, ...], Array] = {}
        self.first_ns = max(c.first_ns for c in self.calendars)
        self.last_ns = min(c.last_ns for c in self.calendars)
        self.one_price_factor = _single(self.price_factor)
        self.one_qty_factor = _single(self.qty_factor)

    def __len__(self) -> int:
        return len(self.instruments)

    def rows_of(self, symbols: Sequence[str]) -> Array:
        """Return the row number of each symbol as int64, `UNKNOWN` where the venue has none."""
        key = tuple(symbols)
        found = self._mappings.get(key)
        if found is None:
            if len(self._mappings) >= CACHED_DICTIONARIES:
                self._mappings.clear()
            found = np.array([self._rows.get(symbol, self.UNKNOWN) for symbol in key], np.int64)
            self._mappings[key] = found
        return found

    def sessions(self, inst: Array, ts_ns: Array) -> Array:
        """Return the session date of each row in its instrument's calendar, as int32."""
        if len(self.calendars) == 1:
            return self.calendars[0].local_dates(ts_ns)
        dates = np.empty(len(ts_ns), np.int32)
        which = self.calendar_of[inst]
        for number, one in enumerate(self.calendars):
            mask = which == number
            dates[mask] = one.local_dates(ts_ns[mask])
        return dates

    def oldest_sessions(self, clock_ns: int) -> Array:
        """Return for each instrument the oldest session date that is still held at this clock, as int32."""
        return np.array([one.window_start(clock_ns) for one in self.calendars], np.int32)[self.calendar_of]

    def same_dates(self, clock_ns: int) -> range:
        """Return the instants around a clock for which no calendar has another local date."""
        dates = [(one, one.local_date(clock_ns)) for one in self.calendars]
        first = max(one.midnight_ns(date) for one, date in dates)
        return range(first, min(one.midnight_ns(date + 1) for one, date in dates))


def _single(factors: Array) -> float | None:
    return float(factors[0]) if len(factors) and (factors == factors[0]).all() else None
