"""The newest prices of each instrument, sent at most once each `conflate_ns` of the feed's clock."""

import numpy as np

from trading.amounts import to_text
from trading.instruments import Instrument
from trading.market.batches import ABSENT, Array
from trading.messages import Price

LAST, BID, ASK = 0, 1, 2


class PriceBoard:
    """Newest last, bid and ask of each instrument with their times. A tick older than the newest changes nothing."""

    def __init__(self, instruments: int) -> None:
        self.value = np.full((instruments, 3), ABSENT, np.int64)
        self.ts = np.full((instruments, 3), ABSENT, np.int64)
        self.sent_ns = np.full(instruments, ABSENT, np.int64)
        self.changed = np.zeros(instruments, bool)

    def update(self, which: int, inst: Array, starts: Array, ts: Array, value: Array) -> None:
        """Take one column of ticks, grouped by instrument, in order of arrival within; `ABSENT` values are skipped."""
        present = value != ABSENT
        stamp = ts if present.all() else np.where(present, ts, ABSENT)
        newest = np.maximum.reduceat(stamp, starts)
        sizes = np.diff(starts, append=len(ts))
        rows = np.where(stamp == np.repeat(newest, sizes), np.arange(len(ts)), -1)
        row = np.maximum.reduceat(rows, starts)
        groups = inst[starts]
        good = (newest != ABSENT) & (newest >= self.ts[groups, which])
        groups, row = groups[good], row[good]
        self.value[groups, which], self.ts[groups, which] = value[row], ts[row]
        self.changed[groups] = True

    def due(self, instruments: tuple[Instrument, ...], clock_ns: int, conflate_ns: int) -> list[Price]:
        """Return the prices that changed and may be sent at this clock, in order of instrument id."""
        if not self.changed.any():
            return []
        rows = np.flatnonzero(self.changed & (self.sent_ns <= clock_ns - conflate_ns))
        self.changed[rows] = False
        self.sent_ns[rows] = clock_ns
        return [self._price(instruments[row], row) for row in rows.tolist()]

    def _price(self, instrument: Instrument, row: int) -> Price:
        last, bid, ask = (
            None if value == ABSENT else to_text(value, instrument.price_scale) for value in self.value[row].tolist()
        )
        return Price(instrument=instrument.id, ts_ns=int(self.ts[row].max()), bid=bid, ask=ask, last=last)
