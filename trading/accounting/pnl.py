"""Profit and loss in cash of 1e-9. Realised + unrealised = cash flow + market value, to the last unit."""

import msgspec

from trading.amounts import CASH_SCALE, divide_half_even, notional

# How many fills' rounding, of half a unit of 1e-9 each, an average price is to be free of.
ROUNDED_FILLS = 20


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


def average_price(qty: int, cost: int, qty_scale: int, price_scale: int) -> int:
    """Return cost / quantity as a price in 1e-9, 0 for a flat position.

    It has the decimals that the cost, which is rounded for each fill, bears; never fewer than a price has. Else one
    fill at 61378.36 would show as 61378.359999975, beyond its own limit price.
    """
    if qty == 0:
        return 0
    size, paid = abs(qty), cost if qty > 0 else -cost
    exact = divide_half_even(paid * 10**qty_scale, size)
    if price_scale + qty_scale <= CASH_SCALE:
        return exact
    doubt = ROUNDED_FILLS * 10**qty_scale // size
    step = int(10 ** min(len(str(doubt)) if doubt else 0, CASH_SCALE - price_scale))
    return divide_half_even(exact, step) * step
