"""The working orders of one instrument at a simulated venue, found by the price that reaches them.

Whoever is reached comes in the order of entry. The cost of a tick is that of the orders that it reaches, however many
rest elsewhere.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection
from operator import attrgetter

import msgspec

from trading.events import OrderAccepted

# (price, place of entry, order): places differ, so orders are never compared.
Ladder = list[tuple[int, int, "PaperOrder"]]
_by_place = attrgetter("place")
# Above each place of entry.
_LAST = 1 << 62


class PaperOrder(msgspec.Struct, gc=False):
    """One order at the venue. `unconfirmed` is what was reported and is not in the journal yet."""

    intent: OrderAccepted
    side: int
    n: int
    place: int = 0
    live: bool = False
    triggered: bool = False
    closing: bool = False
    confirmed: int = 0
    inherited: int = 0
    fills: int = 0
    unconfirmed: dict[str, int] | None = None

    @property
    def leaves(self) -> int:
        """Return what is left to fill, reported fills taken off."""
        waiting = sum(self.unconfirmed.values()) if self.unconfirmed else 0
        return max(0, self.intent.qty - self.inherited - self.confirmed - waiting)


class Book:
    """Limits and stops of both sides by price, and orders that take any price."""

    def __init__(self) -> None:
        self._orders: dict[str, PaperOrder] = {}
        self._buys: Ladder = []
        self._sells: Ladder = []
        self._buy_stops: Ladder = []
        self._sell_stops: Ladder = []
        self._markets: dict[str, PaperOrder] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._orders)

    def values(self) -> Collection[PaperOrder]:
        """Return the orders in the order of their entry."""
        return self._orders.values()

    def add(self, order: PaperOrder) -> None:
        """Take an order that works from now on; one with a stop that was not met waits for it."""
        self._count += 1
        order.place = self._count
        self._orders[order.intent.order] = order
        self._lay(order)

    def remove(self, order: PaperOrder) -> None:
        """Let an order go, if it is here."""
        if self._orders.pop(order.intent.order, None) is not None:
            self._take_up(order)

    def trigger(self, order: PaperOrder) -> None:
        """Let an order work whose stop was met."""
        self._take_up(order)
        order.triggered = True
        self._lay(order)

    def reached(self, buy_at: int | None, sell_at: int | None) -> list[PaperOrder]:
        """Return who could trade or trigger: buyers at one price, sellers at another; None reaches nobody."""
        found = list(self._markets.values())
        if buy_at is not None:
            found += [row[2] for row in self._buys[bisect_left(self._buys, (buy_at,)) :]]
            found += [row[2] for row in self._buy_stops[: bisect_right(self._buy_stops, (buy_at, _LAST))]]
        if sell_at is not None:
            found += [row[2] for row in self._sells[: bisect_right(self._sells, (sell_at, _LAST))]]
            found += [row[2] for row in self._sell_stops[bisect_left(self._sell_stops, (sell_at,)) :]]
        found.sort(key=_by_place)
        return found

    def _lay(self, order: PaperOrder) -> None:
        ladder, price = self._rung(order)
        if ladder is None:
            self._markets[order.intent.order] = order
        else:
            insort(ladder, (price, order.place, order))

    def _take_up(self, order: PaperOrder) -> None:
        ladder, price = self._rung(order)
        if ladder is None:
            del self._markets[order.intent.order]
        else:
            del ladder[bisect_left(ladder, (price, order.place))]

    def _rung(self, order: PaperOrder) -> tuple[Ladder | None, int]:
        intent, buys = order.intent, order.side > 0
        if not order.triggered:
            assert intent.stop_price is not None, "only a stop waits for its price"
            return (self._buy_stops if buys else self._sell_stops), intent.stop_price
        if intent.limit_price is None:
            return None, 0
        return (self._buys if buys else self._sells), intent.limit_price
