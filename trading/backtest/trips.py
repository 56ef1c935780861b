"""Round trips from fills: a position from flat to flat, its profit after fees. A fill through zero is two parts."""

from collections.abc import Iterable

from trading.amounts import divide_half_even
from trading.backtest.metrics import RoundTrip
from trading.events import OrderFilled


def round_trips(fills: Iterable[OrderFilled]) -> list[RoundTrip]:
    """Return the closed round trips of fills of one account in one instrument, in order."""
    trips: list[RoundTrip] = []
    qty = largest = cash = opened_ns = 0
    for fill in fills:
        signed = fill.qty if fill.side == "buy" else -fill.qty
        spent, rest, rest_spent = fill.cost + fill.fee, 0, 0
        if qty and abs(qty + signed) != abs(qty) + abs(signed) and abs(signed) > abs(qty):
            rest = qty + signed
            rest_spent = divide_half_even(spent * abs(rest), fill.qty)
            signed, spent = -qty, spent - rest_spent
        if not qty:
            opened_ns, largest, cash = fill.ts_ns, 0, 0
        side = 1 if qty > 0 or (not qty and signed > 0) else -1
        qty += signed
        cash -= spent
        largest = max(largest, abs(qty))
        if not qty:
            trips.append(RoundTrip(fill.instrument, side, largest, opened_ns, fill.ts_ns, cash))
        if rest:
            qty, largest, cash, opened_ns = rest, abs(rest), -rest_spent, fill.ts_ns
    return trips
