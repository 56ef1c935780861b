"""The price guard: refuses a print that is a wild multiple of the last accepted one, but never locks a market out.

A true move shows as several prints that agree: after `AGREEING_PRINTS` refused ones in a row within 10 % of the first
of them, the next is accepted and becomes the anchor. Trades are held against the last accepted trade; quotes against
that or against the last accepted quote.
"""

import numpy as np

from trading.market.batches import ABSENT, Array

AGREEING_PRINTS = 5
AGREEMENT = 0.1
TRADE_LANE, QUOTE_LANE = 0, 1


class JumpGuard:
    """Anchors and runs of refused prints of each instrument: column 0 for trades, 1 for quotes; 0 is none."""

    def __init__(self, instruments: int, ratio: float) -> None:
        self._ratio = ratio
        self.anchor = np.zeros((instruments, 2), np.int64)
        self.run = np.zeros((instruments, 2), np.int64)
        self.run_price = np.zeros((instruments, 2), np.int64)

    def check(self, inst: Array, starts: Array, price: Array, bid: Array | None, ask: Array | None) -> Array | None:
        """Return a mask of the rows to refuse, or None. Rows are grouped by instrument, in order of arrival within.

        `starts` are the first rows of the groups; `bid` and `ask` are None when there is no quote.
        """
        groups = inst[starts]
        low, high = self._extremes(groups, starts, price, bid, ask)
        wild = (high >= low * self._ratio).nonzero()[0]
        if not len(wild):
            self._accept_all(inst, price, bid, ask)
            return None
        suspects = groups[wild]
        before = self.anchor[suspects], self.run[suspects]
        self._accept_all(inst, price, bid, ask)
        self.anchor[suspects], self.run[suspects] = before
        refused = np.zeros(len(inst), bool)
        ends = np.append(starts[1:], len(inst))
        columns = (price,) if bid is None or ask is None else (price, bid, ask)
        for group in wild.tolist():
            for row in range(int(starts[group]), int(ends[group])):
                refused[row] = not self._judge(int(groups[group]), [int(column[row]) for column in columns])
        return refused if refused.any() else None

    def _extremes(
        self, groups: Array, starts: Array, price: Array, bid: Array | None, ask: Array | None
    ) -> tuple[Array, Array]:
        anchors = self.anchor[groups]
        # Without their sign, no anchor (0, less 1) and ABSENT are larger than every price.
        low, high = price.view(np.uint64), price
        if bid is not None and ask is not None:
            low = np.minimum(np.minimum(low, bid.view(np.uint64)), ask.view(np.uint64))
            high = np.maximum(np.maximum(high, bid), ask)
        lowest, highest = np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)
        known = np.minimum.reduce((anchors - 1).view(np.uint64), axis=1)
        least = np.minimum(lowest - _ONE, known) + _ONE
        return least.astype(np.float64), np.maximum(highest, np.maximum.reduce(anchors, axis=1)).astype(np.float64)

    def _accept_all(self, inst: Array, price: Array, bid: Array | None, ask: Array | None) -> None:
        if bid is None or ask is None:
            self.anchor[inst, TRADE_LANE] = price
            self.run[inst, TRADE_LANE] = 0
            return
        has_bid, has_ask = bid != ABSENT, ask != ABSENT
        trades, quotes, both = (mask.nonzero()[0] for mask in (price != ABSENT, has_bid | has_ask, has_bid & has_ask))
        # Of several rows of one instrument the last one stays.
        self.anchor[inst[trades], TRADE_LANE] = price[trades]
        self.anchor[inst[both], QUOTE_LANE] = (bid[both] + ask[both]) // 2
        self.run[inst[trades], TRADE_LANE] = 0
        self.run[inst[quotes], QUOTE_LANE] = 0

    def _judge(self, inst: int, sides: list[int]) -> bool:
        lane = TRADE_LANE if sides[0] != ABSENT else QUOTE_LANE
        present = [side for side in sides if side != ABSENT]
        value = sum(present) // len(present)
        anchors = [int(self.anchor[inst, TRADE_LANE])]
        if lane == QUOTE_LANE:
            anchors.append(int(self.anchor[inst, QUOTE_LANE]))
        known = [anchor for anchor in anchors if anchor]
        fine = not known or any(all(self._near(side, anchor) for side in present) for anchor in known)
        if not fine and self._agrees(inst, lane, value):
            fine = True
            self.anchor[inst, lane] = value
        if fine:
            self.run[inst, lane] = 0
            if lane == TRADE_LANE or len(present) == 2:
                self.anchor[inst, lane] = value
        return fine

    def _near(self, value: int, anchor: int) -> bool:
        return value < anchor * self._ratio and anchor < value * self._ratio

    def _agrees(self, inst: int, lane: int, value: int) -> bool:
        run, first = int(self.run[inst, lane]), int(self.run_price[inst, lane])
        if run and abs(value - first) <= AGREEMENT * first:
            if run >= AGREEING_PRINTS:
                return True
            self.run[inst, lane] = run + 1
        else:
            self.run[inst, lane], self.run_price[inst, lane] = 1, value
        return False


_ONE = np.uint64(1)
