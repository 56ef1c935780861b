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

    def update(self, inst: Array, ts: Array, last: Array, bid: Array | None, ask: Array | None) -> None:
        """Take ticks in order of arrival; `ABSENT` is skipped. `bid` and `ask` are None without quotes."""
        if np.count_nonzero(ts[1:] < ts[:-1]):
            order = np.argsort(ts, kind="stable")
            inst, ts, last = inst[order], ts[order], last[order]
            if bid is not None and ask is not None:
                bid, ask = bid[order], ask[order]
        cell, value = inst * 3, last
        if bid is not None and ask is not None:
            cell, value = np.concatenate((cell, cell + BID, cell + ASK)), np.concatenate((last, bid, ask))
            ts = np.concatenate((ts, ts, ts))
        held_ts, held = self.ts.reshape(-1), self.value.reshape(-1)
        rows = ((value != ABSENT) & (ts >= held_ts[cell])).nonzero()[0]
        # Of several ticks for one cell the last one stays, which is the newest.
        cell = cell[rows]
        held[cell], held_ts[cell] = value[rows], ts[rows]
        self.changed[cell // 3] = True

    def due(self, instruments: tuple[Instrument, ...], clock_ns: int, conflate_ns: int) -> list[Price]:
        """Return the prices that changed and may be sent at this clock, in order of instrument id."""
        if not np.count_nonzero(self.changed):
            return []
        rows = (self.changed & (self.sent_ns <= clock_ns - conflate_ns)).nonzero()[0]
        self.changed[rows] = False
        self.sent_ns[rows] = clock_ns
        return [self._price(instruments[row], row) for row in rows.tolist()]

    def _price(self, instrument: Instrument, row: int) -> Price:
        last, bid, ask = (
            None if value == ABSENT else to_text(value, instrument.price_scale) for value in self.value[row].tolist()
        )
        return Price(instrument=instrument.id, ts_ns=int(self.ts[row].max()), bid=bid, ask=ask, last=last)
