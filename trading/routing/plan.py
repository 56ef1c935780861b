"""From the journal to venue requests, and from a venue's outcome to the report. What to retry, and when, is data.

A request id is a pure function of the record, so a resend after a crash is the same request. After an unknown outcome
the venue is asked under the same order id; the intent is never sent under a new one.
"""

from typing import Literal

import msgspec

from trading.commands import (
    OrderType,
    Side,
    TimeInForce,
    VenueAccepted,
    VenueCanceled,
    VenueRejected,
    VenueReplaced,
    VenueReport,
    VenueState,
    VenueUnknown,
)
from trading.events import AnyEvent, OrderAccepted, OrderFilled, OrderMoved
from trading.orders.transitions import TERMINAL

RequestVerb = Literal["new", "cancel", "replace", "query"]


class VenueRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing to ask of a venue. `order` is also the client id there; amounts are in the instrument's scale."""

    verb: RequestVerb
    request_id: str
    account: str
    order: str
    instrument: str
    side: Side
    type: OrderType
    tif: TimeInForce
    qty: int
    hold_price: int
    price_scale: int
    qty_scale: int
    limit_price: int | None = None
    stop_price: int | None = None
    expire_ts_ns: int | None = None
    replaces: str = ""
    strategy: str = ""

    @property
    def venue(self) -> str:
        """Return the venue of the instrument."""
        return self.instrument.rpartition(".")[2]


class Confirmed(msgspec.Struct, frozen=True, gc=False):
    """The venue took the request."""

    venue_order_id: str = ""
    held: bool = False


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """The venue refused, definitively: the request had no effect and never will."""

    code: str


class Denied(msgspec.Struct, frozen=True, gc=False):
    """Our own gateway did not send it."""

    code: str


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """Sent, or perhaps sent, and nothing certain came back: timeout, disconnect, 5xx, half an answer."""

    reason: str


class Found(msgspec.Struct, frozen=True, gc=False):
    """What a query found. Its executions are reported before it."""

    status: Literal["new", "held", "filled", "canceled", "expired", "rejected"]
    venue_order_id: str = ""
    filled_qty: str = "0"


class NotFound(msgspec.Struct, frozen=True, gc=False):
    """The venue has no such order and, by its rules, will never have it."""


Outcome = Confirmed | Rejected | Denied | Unknown | Found | NotFound


class Retry(msgspec.Struct, frozen=True, gc=False):
    """How often and after how long a request may be sent again. The id stays the same."""

    attempts: int
    first_ms: int
    max_ms: int

    def delay_ms(self, attempt: int) -> int | None:
        """Return the wait before this attempt (1 is the first retry), doubled each time; None when to stop."""
        return None if attempt > self.attempts else min(self.max_ms, self.first_ms << (attempt - 1))


# A new order is sent once: what happens then is found out by asking. To ask, and to cancel, twice does no harm.
RETRIES: dict[RequestVerb, Retry] = {
    "new": Retry(0, 0, 0),
    "replace": Retry(0, 0, 0),
    "cancel": Retry(3, 100, 1_000),
    "query": Retry(20, 100, 30_000),
}


class Outbox:
    """What has to be asked of venues: a fold of the journal over the orders that are open."""

    def __init__(self) -> None:
        self.orders: dict[str, OrderAccepted] = {}
        self.asked: dict[str, VenueRequest] = {}

    def apply(self, event: AnyEvent) -> VenueRequest | None:
        """Follow one journalled event; return the request that it calls for."""
        if isinstance(event, OrderAccepted):
            self.orders[event.order] = event
            return self._ask("replace" if event.replaces else "new", event, event.request)
        if not isinstance(event, OrderMoved | OrderFilled):
            return None
        intent = self.orders.get(event.order)
        if intent is None:
            return None
        if event.to in TERMINAL:
            del self.orders[event.order]
            self.asked.pop(event.order, None)
        elif isinstance(event, OrderMoved) and event.to == "pending_cancel" and event.request:
            return self._ask("cancel", intent, event.request)
        elif isinstance(event, OrderMoved) and event.to == "unknown":
            return self._ask("query", intent, f"{event.order}-query")
        elif event.to not in ("pending_replace", "pending_cancel", "unknown"):
            self.asked.pop(event.order, None)
        return None

    def pending(self) -> list[VenueRequest]:
        """Return what was asked and not answered, after a restart: a new order is asked about, not sent again."""
        return [
            msgspec.structs.replace(request, verb="query", request_id=f"{request.order}-query")
            if request.verb in ("new", "replace")
            else request
            for request in self.asked.values()
        ]

    def _ask(self, verb: RequestVerb, intent: OrderAccepted, request_id: str) -> VenueRequest:
        request = VenueRequest(
            verb=verb,
            request_id=request_id,
            account=intent.account,
            order=intent.order,
            instrument=intent.instrument,
            side=intent.side,
            type=intent.type,
            tif=intent.tif,
            qty=intent.qty,
            hold_price=intent.hold_price,
            price_scale=intent.price_scale,
            qty_scale=intent.qty_scale,
            limit_price=intent.limit_price,
            stop_price=intent.stop_price,
            expire_ts_ns=intent.expire_ts_ns,
            replaces=intent.replaces,
            strategy=intent.strategy,
        )
        self.asked[intent.order] = request
        return request


def report_of(request: VenueRequest, outcome: Outcome, ts_ns: int) -> VenueReport:
    """Return the report that tells the owner what became of a request."""
    account, order, venue, verb = request.account, request.order, request.venue, request.verb
    if isinstance(outcome, Unknown):
        asked = "new" if verb == "query" else verb
        return VenueUnknown(
            account=account, ts_ns=ts_ns, order=order, venue=venue, request=asked, reason=outcome.reason[:256]
        )
    if isinstance(outcome, NotFound):
        return VenueState(account=account, ts_ns=ts_ns, order=order, venue=venue, found=False)
    if isinstance(outcome, Found):
        return VenueState(
            account=account,
            ts_ns=ts_ns,
            order=order,
            venue=venue,
            found=True,
            status=outcome.status,
            venue_order_id=outcome.venue_order_id,
            filled_qty=outcome.filled_qty,
        )
    if isinstance(outcome, Rejected | Denied):
        refused = "new" if verb == "query" else verb
        return VenueRejected(
            account=account, ts_ns=ts_ns, order=order, venue=venue, request=refused, code=outcome.code[:256]
        )
    if verb == "cancel":
        return VenueCanceled(account=account, ts_ns=ts_ns, order=order, venue=venue)
    if verb == "replace":
        return VenueReplaced(
            account=account,
            ts_ns=ts_ns,
            order=request.replaces,
            venue=venue,
            new_order=order,
            venue_order_id=outcome.venue_order_id,
        )
    return VenueAccepted(
        account=account,
        ts_ns=ts_ns,
        order=order,
        venue=venue,
        venue_order_id=outcome.venue_order_id,
        held=outcome.held,
    )
