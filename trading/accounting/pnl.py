"""Profit and loss in cash of 1e-9. Realised + unrealised = cash flow + market value, to the last unit."""

import msgspec

from trading.amounts import divide_half_even, notional


class Pnl(msgspec.Struct, frozen=True, gc=False):
    """The profit of one position. Fees are apart and not in `realised`."""

    market_value: int
    cost: int
    realised: int
    unrealised: int
    fees: int

    @property
    def net(self) -> int:
        """Return the profit after fees."""
        return self.realised + self.unrealised - self.fees


def fill_cost(side: int, price: int, qty: int, price_scale: int, qty_scale: int) -> int:
    """Return the signed cost of a fill, rounded half to even: computed once, then stored in the event."""
    return side * notional(price, qty, price_scale, qty_scale)


def position_pnl(qty: int, cost: int, realised: int, fees: int, mark: int, price_scale: int, qty_scale: int) -> Pnl:
    """Return the profit of a position marked at a price."""
    value = notional(mark, qty, price_scale, qty_scale)
    return Pnl(value, cost, realised, value - cost, fees)


def average_price(qty: int, cost: int, qty_scale: int) -> int:
    """Return cost / quantity as a price in 1e-9, rounded half to even; 0 for a flat position."""
    if qty == 0:
        return 0
    sign = 1 if qty > 0 else -1
    return divide_half_even(sign * cost * 10**qty_scale, abs(qty))
