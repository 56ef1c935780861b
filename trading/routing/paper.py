"""A deterministic paper venue. Its book is a fold of the journal; market data makes it answer with reports.

Orders fill against the shown quote (taker) or against trades through their price (maker), each volume shared in the
order of acceptance. A trade id is a pure function of the order and n, so a venue that was restarted repeats itself
instead of trading twice.
"""

from collections.abc import Collection
from heapq import heappop, heappush
from typing import Literal, TypedDict

import msgspec

from trading.amounts import CASH_SCALE, notional, to_text
from trading.commands import (
    VenueAccepted,
    VenueCanceled,
    VenueExpired,
    VenueFill,
    VenueRejected,
    VenueReplaced,
    VenueReport,
)
from trading.events import AnyEvent, OrderAccepted, OrderFilled, OrderMoved
from trading.ids import digest
from trading.instruments import InstrumentTable
from trading.orders.transitions import TERMINAL
from trading.routing.book import Book, PaperOrder
from trading.routing.models import Liquidity, Models

Reports = list[VenueReport]
Action = Literal["arrive", "cancel", "expire"]
IMMEDIATE = frozenset({"ioc", "fok"})


class About(TypedDict):
    """What every report says."""

    account: str
    ts_ns: int
    order: str
    venue: str
    seen_ns: int


class Shown(msgspec.Struct, gc=False):
    """The newest quote of an instrument; what our orders took of it is gone."""

    bid: int | None = None
    bid_qty: int = 0
    ask: int | None = None
    ask_qty: int = 0


class PaperVenue:
    """All instruments and accounts of a desk. Single writer, no clock: time comes with events and ticks."""

    def __init__(self, instruments: InstrumentTable, models: Models | None = None, name: str = "PAPER") -> None:
        self.instruments = instruments
        self.models = models or Models()
        self.name = name
        self.now_ns = 0
        self.orders: dict[str, PaperOrder] = {}
        self.books: dict[str, Book] = {}
        self.shown: dict[str, Shown] = {}
        self._quoted: set[str] = set()
        self._seen: dict[str, int] = {}
        self._of_account: dict[str, dict[str, PaperOrder]] = {}
        self._of_instrument: dict[str, int] = {}
        self._heirs: dict[str, list[str]] = {}
        self._due: list[tuple[int, int, Action, str]] = []
        self._count = 0

    def apply(self, event: AnyEvent) -> None:
        """Follow one journalled event. Whatever it brings is reported by the next `advance`."""
        if isinstance(event, OrderAccepted):
            self._count += 1
            self._keep(PaperOrder(event, 1 if event.side == "buy" else -1, self._count))
            self._plan(event.ts_ns, event.order, "replace" if event.replaces else "new", "arrive")
        elif isinstance(event, OrderFilled):
            self._confirm(event)
        elif isinstance(event, OrderMoved):
            order = self.orders.get(event.order)
            if order is None:
                return
            if event.to == "replaced":
                self._hand_over(order)
            if event.to in TERMINAL:
                self._drop(order)
            elif event.to == "pending_cancel" and event.request:
                self._plan(event.ts_ns, event.order, "cancel", "cancel")
            elif event.to in ("new", "held", "partially_filled") and not order.live:
                self._enter(order)

    def advance(self, ts_ns: int) -> Reports:
        """Let time pass: requests arrive, cancels take effect, orders expire."""
        reports: Reports = []
        self.now_ns = max(self.now_ns, ts_ns)
        while self._due and self._due[0][0] <= self.now_ns:
            at_ns, _, action, id_ = heappop(self._due)
            order = self.orders.get(id_)
            if order is None or order.closing:
                if action == "cancel" and order is not None:
                    reports.append(self._too_late(order, at_ns))
                continue
            if action == "arrive":
                reports += self._arrive(order, at_ns)
            elif action == "cancel":
                reports.append(VenueCanceled(**self._about(order, at_ns)))
                self._close(order)
            elif order.live:
                reports.append(VenueExpired(**self._about(order, at_ns)))
                self._close(order)
        return reports

    def on_quote(
        self, instrument: str, ts_ns: int, bid: int | None, bid_qty: int, ask: int | None, ask_qty: int
    ) -> Reports:
        """Take a quote; return what it fills. A quote of one side leaves the other as it was."""
        reports = self.advance(ts_ns)
        self._seen[instrument] = ts_ns
        before = self.shown.get(instrument) if instrument in self._quoted else None
        if before is not None and bid is None:
            bid, bid_qty = before.bid, before.bid_qty
        if before is not None and ask is None:
            ask, ask_qty = before.ask, before.ask_qty
        self._quoted.add(instrument)
        self.shown[instrument] = Shown(bid, bid_qty, ask, ask_qty)
        book = self.books.get(instrument)
        for order in book.reached(ask, bid) if book else ():
            price = ask if order.side > 0 else bid
            if price is not None:
                self._trigger(order, price)
            reports += self._take(order, self.now_ns)
        return reports

    def on_trade(self, instrument: str, ts_ns: int, price: int, qty: int) -> Reports:
        """Take a trade; return what it triggers and fills."""
        reports = self.advance(ts_ns)
        self._seen[instrument] = ts_ns
        lot = self.instruments[instrument].lot
        budget = self.models.fill.available(qty, lot)
        book = self.books.get(instrument)
        for order in book.reached(price, price) if book else ():
            fresh = self._trigger(order, price)
            limit = order.intent.limit_price
            if fresh or limit is None:
                reports += self._take(order, self.now_ns)
            elif order.triggered and order.side * (limit - price) >= 0:
                part = min(order.leaves, budget)
                if part > 0:
                    budget -= part
                    reports.append(self._fill(order, self.now_ns, limit, part, "maker"))
        return reports

    def stand_in(self, instrument: str, price: int, qty: int) -> None:
        """Let a trade stand for both sides where nothing was ever quoted: it is all that a taker can meet."""
        if instrument not in self._quoted:
            self.shown[instrument] = Shown(price, qty, price, qty)

    def orders_of(self, account: str) -> list[PaperOrder]:
        """Return the orders of an account, in the order in which they were accepted."""
        return list(self._of_account.get(account, {}).values())

    def watched(self) -> Collection[str]:
        """Return the instruments that have orders, here or on their way."""
        return self._of_instrument.keys()

    def forget(self, order: str) -> None:
        """Drop an order without a word, if it is here."""
        found = self.orders.get(order)
        if found is not None:
            self._drop(found)

    def venue_order_id(self, order: str) -> str:
        """Return the venue's own id of an order."""
        return digest("paper", order)

    def _arrive(self, order: PaperOrder, ts_ns: int) -> Reports:
        intent = order.intent
        about = self._about(order, ts_ns)
        if order.live:
            # An earlier life of this venue took it already.
            return self._settle(order, [])
        if intent.replaces:
            old = self.orders.get(intent.replaces)
            if old is None or old.closing or not old.live:
                self._close(order)
                return [VenueRejected(**about, request="replace", code="TOO_LATE")]
            order.inherited = old.intent.qty - old.leaves
            self._close(old)
            first: VenueReport = VenueReplaced(
                **self._about(old, ts_ns), new_order=intent.order, venue_order_id=self.venue_order_id(intent.order)
            )
        else:
            first = VenueAccepted(**about, venue_order_id=self.venue_order_id(intent.order))
        self._enter(order)
        return self._settle(order, [first, *self._take(order, ts_ns, arriving=True)])

    def _settle(self, order: PaperOrder, reports: Reports) -> Reports:
        intent = order.intent
        if intent.tif in IMMEDIATE and order.leaves and not order.closing:
            reports.append(VenueCanceled(**self._about(order, self.now_ns), reason=intent.tif.upper()))
            self._close(order)
        elif intent.expire_ts_ns is not None:
            self._count += 1
            heappush(self._due, (intent.expire_ts_ns, self._count, "expire", intent.order))
        return reports

    def _hand_over(self, old: PaperOrder) -> None:
        for id_ in self._heirs.get(old.intent.order, ()):
            self.orders[id_].inherited = old.intent.qty - old.leaves

    def _enter(self, order: PaperOrder) -> None:
        order.live = True
        order.triggered = order.triggered or order.intent.stop_price is None
        book = self.books.get(order.intent.instrument)
        if book is None:
            book = self.books[order.intent.instrument] = Book()
        book.add(order)

    def _trigger(self, order: PaperOrder, price: int) -> bool:
        stop = order.intent.stop_price
        if order.triggered or stop is None or order.side * (price - stop) < 0:
            return False
        self.books[order.intent.instrument].trigger(order)
        return True

    def _take(self, order: PaperOrder, ts_ns: int, *, arriving: bool = False) -> Reports:
        shown = self.shown.get(order.intent.instrument)
        if shown is None or not order.triggered or order.closing:
            return []
        price, volume = (shown.ask, shown.ask_qty) if order.side > 0 else (shown.bid, shown.bid_qty)
        limit = order.intent.limit_price
        if price is None or (limit is not None and order.side * (limit - price) < 0):
            return []
        instrument = self.instruments[order.intent.instrument]
        part = min(order.leaves, self.models.fill.available(volume, instrument.lot))
        if part <= 0 or (arriving and order.intent.tif == "fok" and part < order.leaves):
            return []
        if order.side > 0:
            shown.ask_qty -= part
        else:
            shown.bid_qty -= part
        paid = self.models.slippage.price(price, order.side, instrument.tick)
        if limit is not None:
            paid = min(paid, limit) if order.side > 0 else max(paid, limit)
        return [self._fill(order, ts_ns, paid, part, "taker")]

    def _fill(self, order: PaperOrder, ts_ns: int, price: int, qty: int, liquidity: Liquidity) -> VenueFill:
        intent = order.intent
        trade_id = digest("paper", intent.order, order.fills)
        order.fills += 1
        order.unconfirmed = {**(order.unconfirmed or {}), trade_id: qty}
        if not order.leaves:
            self._close(order)
        value = notional(price, qty, intent.price_scale, intent.qty_scale)
        return VenueFill(
            **self._about(order, ts_ns),
            trade_id=trade_id,
            instrument=intent.instrument,
            side=intent.side,
            qty=to_text(qty, intent.qty_scale),
            price=to_text(price, intent.price_scale),
            fee=to_text(self.models.fees.fee(value, liquidity), CASH_SCALE),
            liquidity=liquidity,
        )

    def _confirm(self, event: OrderFilled) -> None:
        order = self.orders.get(event.order)
        if order is None:
            return
        if order.unconfirmed is None or order.unconfirmed.pop(event.trade_id, None) is None:
            # Reported by an earlier life of this venue.
            order.fills += 1
        order.confirmed += event.qty
        if event.to in TERMINAL:
            self._drop(order)

    def _close(self, order: PaperOrder) -> None:
        order.closing = True
        book = self.books.get(order.intent.instrument)
        if book is not None:
            book.remove(order)

    def _keep(self, order: PaperOrder) -> None:
        intent = order.intent
        # An order that comes again begins anew.
        self.forget(intent.order)
        self.orders[intent.order] = order
        self._of_account.setdefault(intent.account, {})[intent.order] = order
        self._of_instrument[intent.instrument] = self._of_instrument.get(intent.instrument, 0) + 1
        if intent.replaces:
            self._heirs.setdefault(intent.replaces, []).append(intent.order)

    def _drop(self, order: PaperOrder) -> None:
        self._close(order)
        intent = order.intent
        del self.orders[intent.order]
        mine = self._of_account[intent.account]
        del mine[intent.order]
        if not mine:
            del self._of_account[intent.account]
        self._of_instrument[intent.instrument] -= 1
        if not self._of_instrument[intent.instrument]:
            del self._of_instrument[intent.instrument]
        if intent.replaces:
            heirs = self._heirs[intent.replaces]
            heirs.remove(intent.order)
            if not heirs:
                del self._heirs[intent.replaces]

    def _plan(self, ts_ns: int, order: str, verb: str, action: Action) -> None:
        self._count += 1
        heappush(self._due, (self.models.latency.arrival_ns(order, verb, ts_ns), self._count, action, order))

    def _too_late(self, order: PaperOrder, ts_ns: int) -> VenueReport:
        if order.live and order.leaves:
            # It was cancelled before: the answer may have been lost.
            return VenueCanceled(**self._about(order, ts_ns))
        return VenueRejected(**self._about(order, ts_ns), request="cancel", code="TOO_LATE")

    def _about(self, order: PaperOrder, ts_ns: int) -> About:
        intent = order.intent
        return {
            "account": intent.account,
            "ts_ns": ts_ns,
            "order": intent.order,
            "venue": self.name,
            "seen_ns": self._seen.get(intent.instrument, 0),
        }
