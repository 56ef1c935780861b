"""The paper venue at work: fed by the requests of the gateway and by all partitions of `ticks`, from now on.

Its book is a fold of the journal, so it has no state to save; a fault script makes it misbehave for tests.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import structlog

from streaming.adapters.venue import Deliver
from streaming.adapters.venue_faults import FaultScript
from streaming.transport.client import BrokerError, Record
from streaming.transport.follow import Follower
from trading.amounts import to_text
from trading.codec import CodecError
from trading.commands import VenueReport
from trading.events import AnyEvent, OrderAccepted, OrderMoved, RiskInputs
from trading.market.batches import ABSENT, QUOTE, Array, TickBatch
from trading.market.flags import CROSS, LATE, SUSPICIOUS
from trading.orders.reconcile import VenueOrder, VenueView
from trading.routing.book import PaperOrder
from trading.routing.paper import PaperVenue
from trading.routing.plan import Found, NotFound, Outcome, Unknown, VenueRequest

TAKE_S = 0.25
RETRY_S = 1.0
# What the normaliser doubts, or what comes after its time, moves no order.
UNUSABLE = CROSS | SUSPICIOUS | LATE
_NOT_JUDGED = RiskInputs(0, 0, 0, 0, 0, 0)
_log = structlog.get_logger("paper")


class Clock(Protocol):
    """The desk's clock, as the venue needs it."""

    def now_ns(self) -> int:
        """Return the time."""

    def advance(self, ts_ns: int) -> None:
        """Hear of a time that has certainly come."""


class PaperAdapter:
    """Implements `Venue` over the deterministic paper venue of the core."""

    def __init__(self, venue: PaperVenue, clock: Clock, ticks: Follower, faults: FaultScript | None = None) -> None:
        self.connected = True
        self.drops = 0
        self._venue, self._clock, self._ticks = venue, clock, ticks
        self._faults = faults or FaultScript()
        self._deliver: Deliver | None = None
        self._task: asyncio.Task[None] | None = None
        self._at_work = False
        self._counts = {"ticks": 0, "refused": 0, "reports": 0}

    async def start(self, deliver: Deliver) -> None:
        """Begin to follow the ticks."""
        self._deliver = deliver
        self._task = asyncio.create_task(self._run(), name="paper-ticks")

    async def stop(self) -> None:
        """End; orders stay in the journal."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._ticks.stop()

    def disconnect(self) -> None:
        """Lose the connection: a fault for tests. The book goes on, its reports wait."""
        self.connected = False
        self.drops += 1

    def reconnect(self) -> None:
        """End the fault."""
        self.connected = True

    def adopt(self, events: Sequence[AnyEvent]) -> None:
        """Fold the story of open orders."""
        for event in events:
            self._venue.apply(event)

    def forget(self, orders: Iterable[str]) -> None:
        """Drop orders without a word."""
        for name in orders:
            self._venue.forget(name)

    def hear(self, event: AnyEvent) -> None:
        """Fold one event."""
        self._venue.apply(event)

    async def send(self, request: VenueRequest, ts_ns: int) -> Outcome | None:
        """Take a request; the answer comes as a report, to a query at once."""
        if not self.connected:
            return Unknown("DISCONNECTED")
        fault = self._faults.send(request)
        if fault == "drop_before":
            return Unknown("NO_ANSWER")
        if request.verb in ("new", "replace"):
            self._venue.apply(_intent(request, ts_ns))
        elif request.verb == "cancel":
            if request.order not in self._venue.orders:
                return Unknown("NOT_HERE")
            moved = OrderMoved(request.account, ts_ns, request.order, "pending_cancel", "", request.request_id)
            self._venue.apply(moved)
        await self._pass(ts_ns)
        if fault == "drop_after":
            return Unknown("NO_ANSWER")
        return self._found(request) if request.verb == "query" else None

    def view(self, account: str) -> VenueView | None:
        """Return the orders of the book. An order goes out of it when the journal ends it; positions are not kept."""
        if not self.connected:
            return None
        mine = self._venue.orders_of(account)
        away = {order.intent.order for order in mine if not (order.live or order.closing)}
        # A replaced order ends with the acceptance of the one that works in its place.
        away |= {order.intent.replaces for order in mine if order.live and order.intent.replaces}
        return VenueView(
            venue=self._venue.name,
            orders=tuple(self._shown(order) for order in mine if order.intent.order not in away),
            on_their_way=frozenset(away),
        )

    def stats(self) -> Mapping[str, Any]:
        """Return the counters, and how many orders are in the book."""
        return {**self._counts, "orders": len(self._venue.orders), "connected": self.connected, "drops": self.drops}

    def on_ticks(self, batch: TickBatch) -> list[VenueReport]:
        """Take ticks; of instruments without orders only the newest trade and the newest quote of each side."""
        names, codes = batch.instrument
        used = self._venue.watched()
        usable = (batch.flags & UNUSABLE) == 0
        usable &= np.isin(codes, [code for code, name in enumerate(names) if self._venue.instruments.get(name)])
        quotes = usable & (batch.kind == QUOTE)
        rows: set[int] = set()
        for kept in (usable & ~quotes, quotes & (batch.bid != ABSENT), quotes & (batch.ask != ABSENT)):
            last = np.full(len(names), -1, np.int64)
            last[codes[kept]] = np.flatnonzero(kept)
            rows |= set(last[last >= 0].tolist())
        watched = [code for code, name in enumerate(names) if name in used]
        if watched:
            rows |= set(np.flatnonzero(usable & np.isin(codes, watched)).tolist())
        reports: list[VenueReport] = []
        for row in sorted(rows):
            reports += self._on_row(batch, names[codes[row]], row)
        if len(batch):
            self._clock.advance(int(batch.ts_ns.max()))
        return reports

    async def _run(self) -> None:
        while True:
            try:
                records = await self._ticks.take(TAKE_S)
            except BrokerError as error:
                _log.warning("ticks_not_read", code=error.code, reason=str(error))
                await self._ticks.stop()
                await asyncio.sleep(RETRY_S)
                continue
            self._at_work = True
            for record in records:
                await self._work(record)
            self._at_work = False
            if self.connected:
                await self._pass(0)

    async def _pass(self, ts_ns: int) -> None:
        """Let time pass, unless ticks wait: a request must not meet a market from before it was made."""
        if not (self._at_work or await self._ticks.behind()):
            await self._give(self._venue.advance(max(ts_ns, self._clock.now_ns())))

    async def _work(self, record: Record) -> None:
        try:
            batch = TickBatch.decode(record.value or b"")
        except CodecError as error:
            self._counts["refused"] += 1
            _log.warning("ticks_refused", partition=record.partition, offset=record.offset, code=error.code)
            return
        if self.connected:
            await self._give(self.on_ticks(batch))
        self._counts["ticks"] += len(batch)

    def _on_row(self, batch: TickBatch, name: str, row: int) -> list[VenueReport]:
        ts_ns = int(batch.ts_ns[row])
        if batch.kind[row] == QUOTE:
            bid, ask = _amount(batch.bid, row), _amount(batch.ask, row)
            bid_qty, ask_qty = _amount(batch.bid_qty, row) or 0, _amount(batch.ask_qty, row) or 0
            return self._venue.on_quote(name, ts_ns, bid, bid_qty, ask, ask_qty)
        price, qty = _amount(batch.price, row), _amount(batch.qty, row)
        if price is None or qty is None:
            return []
        self._venue.stand_in(name, price, qty)
        return self._venue.on_trade(name, ts_ns, price, qty)

    def _found(self, request: VenueRequest) -> Outcome:
        order = self._venue.orders.get(request.order)
        if order is None:
            return NotFound()
        if not order.live:
            return Unknown("ON_ITS_WAY")
        filled = order.intent.qty - order.inherited - order.leaves
        ended: Literal["canceled", "filled"] = "canceled" if order.leaves else "filled"
        venue_id = self._venue.venue_order_id(request.order)
        return Found(ended if order.closing else "new", venue_id, to_text(filled, request.qty_scale))

    def _shown(self, order: PaperOrder) -> VenueOrder:
        status: Literal["new", "held", "filled", "canceled", "rejected"] = "new" if order.triggered else "held"
        if order.closing:
            ended: Literal["filled", "canceled"] = "canceled" if order.leaves else "filled"
            status = ended if order.live else "rejected"
        id_ = order.intent.order
        return VenueOrder(
            order=id_,
            instrument=order.intent.instrument,
            status=status,
            filled_qty=order.confirmed + sum((order.unconfirmed or {}).values()),
            venue_order_id=self._venue.venue_order_id(id_),
        )

    async def _give(self, reports: Sequence[VenueReport]) -> None:
        said = self._faults.say(reports, self._clock.now_ns())
        if said and self._deliver is not None:
            self._counts["reports"] += len(said)
            await self._deliver(said)


def _amount(column: Array, row: int) -> int | None:
    value = int(column[row])
    return None if value == ABSENT else value


def _intent(request: VenueRequest, ts_ns: int) -> OrderAccepted:
    """Return the order as the book of the paper venue keeps it."""
    return OrderAccepted(
        request.account,
        ts_ns,
        request.order,
        request.order,
        request.instrument,
        request.side,
        request.type,
        request.tif,
        request.qty,
        request.hold_price,
        request.request_id,
        _NOT_JUDGED,
        request.price_scale,
        request.qty_scale,
        request.limit_price,
        request.stop_price,
        request.expire_ts_ns,
        request.strategy,
        request.replaces,
    )
