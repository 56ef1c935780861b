"""How resting orders meet a bar: its price moves from the open over both extremes to the close, without a jump.

The nearer extreme comes first. Every price of an own order on the way is visited, so a stop triggers at its price and
a limit fills at its price; only the open can jump over them. The bar's volume is shared by all fills within it.
"""

from collections.abc import Iterable

from trading.routing.book import PaperOrder
from trading.strategies.rows import Bar


def legs(bar: Bar) -> tuple[tuple[int, int], ...]:
    """Return the moves within a bar, from and to."""
    first, second = (bar.high, bar.low) if bar.high - bar.open < bar.open - bar.low else (bar.low, bar.high)
    return (bar.open, first), (first, second), (second, bar.close)


def stations(orders: Iterable[PaperOrder], start: int, end: int) -> list[int]:
    """Return the prices to visit on a move, its end included, in the order of the way."""
    low, high = min(start, end), max(start, end)
    wanted = {end}
    for order in orders:
        intent = order.intent
        wanted.update(p for p in (intent.limit_price, intent.stop_price) if p is not None and low < p < high)
    return sorted(wanted, reverse=end < start)
