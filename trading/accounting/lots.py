"""Tax lots and the cost of what is open: first in first out, last in first out, or average. Exact integers.

Whatever the method: open cost - realised = the sum of the costs of all fills. A fill's cost is signed cash, positive
for a buy; a short lot has a negative quantity and a negative cost. Each fill is O(1) amortised.
"""

from collections import deque
from typing import Literal

import msgspec

from trading.amounts import divide_half_even

Method = Literal["fifo", "lifo", "average"]


class Lot(msgspec.Struct, gc=False):
    """An open lot: when and by which fill it was opened, its signed quantity and cost."""

    opened_ts_ns: int
    opened_by: str
    qty: int
    cost: int


class Closed(msgspec.Struct, frozen=True, gc=False):
    """A lot, or a part of one, that a fill closed. `qty` is signed as the lot was; gain = proceeds - cost."""

    opened_ts_ns: int
    opened_by: str
    closed_ts_ns: int
    closed_by: str
    qty: int
    cost: int
    proceeds: int

    @property
    def gain(self) -> int:
        """Return the realised gain in cash."""
        return self.proceeds - self.cost


def average_fill(qty: int, cost: int, fill_qty: int, fill_cost: int) -> tuple[int, int, int]:
    """Return (quantity, cost, realised gain) of a position at average cost after a signed fill."""
    if qty == 0 or (qty > 0) == (fill_qty > 0):
        return qty + fill_qty, cost + fill_cost, 0
    held, filled = abs(qty), abs(fill_qty)
    closing = min(held, filled)
    relieved = cost if closing == held else divide_half_even(cost * closing, held)
    used = fill_cost if closing == filled else divide_half_even(fill_cost * closing, filled)
    return qty + fill_qty, cost - relieved + fill_cost - used, -used - relieved


class LotBook:
    """The open lots of one instrument in one account under one method."""

    __slots__ = ("lots", "method", "realised")

    def __init__(self, method: Method) -> None:
        self.method: Method = method
        self.lots: deque[Lot] = deque()
        self.realised = 0

    @property
    def qty(self) -> int:
        """Return the signed open quantity."""
        return sum(lot.qty for lot in self.lots)

    @property
    def cost(self) -> int:
        """Return the cost of what is open."""
        return sum(lot.cost for lot in self.lots)

    def fill(self, ts_ns: int, ref: str, qty: int, cost: int) -> list[Closed]:
        """Apply one signed fill; return what it closed, in the order of the method."""
        closed: list[Closed] = []
        total, left, used = abs(qty), abs(qty), 0
        while left and self.lots and (self.lots[0].qty > 0) != (qty > 0):
            lot = self.lots[-1] if self.method == "lifo" else self.lots[0]
            size = abs(lot.qty)
            part = min(left, size)
            left -= part
            # Cumulative rounding: the parts of a fill's cost sum to it exactly.
            upto = cost if left == 0 else divide_half_even(cost * (total - left), total)
            proceeds, used = used - upto, upto
            relieved = lot.cost if part == size else divide_half_even(lot.cost * part, size)
            signed = part if lot.qty > 0 else -part
            closed.append(Closed(lot.opened_ts_ns, lot.opened_by, ts_ns, ref, signed, relieved, proceeds))
            self.realised += proceeds - relieved
            if part == size:
                self.lots.pop() if self.method == "lifo" else self.lots.popleft()
            else:
                lot.qty -= signed
                lot.cost -= relieved
        if left:
            self._open(ts_ns, ref, left if qty > 0 else -left, cost - used)
        return closed

    def _open(self, ts_ns: int, ref: str, qty: int, cost: int) -> None:
        if self.method == "average" and self.lots:
            pool = self.lots[0]
            pool.qty += qty
            pool.cost += cost
        else:
            self.lots.append(Lot(ts_ns, ref, qty, cost))
