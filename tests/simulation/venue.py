"""An exchange that misbehaves on demand: it loses requests and answers, and fills late, twice or too much.

It is the truth about what was traded. Its orders go by our order id; a request is worked once.
"""

from dataclasses import dataclass, field

from trading.amounts import CASH_SCALE, to_text
from trading.commands import (
    VenueCanceled,
    VenueExpired,
    VenueFill,
    VenueReport,
)
from trading.orders.reconcile import VenueOrder, VenueView
from trading.routing.plan import (
    Confirmed,
    Found,
    NotFound,
    Outcome,
    Rejected,
    Unknown,
    VenueRequest,
    report_of,
)

NAME = "SIM"
# How a request ends, by the way the line fails: answered, refused, lost before or after its effect, or silence.
WAYS = ("answer",) * 6 + ("refuse", "lost_before", "lost_after", "silent_before", "silent_after")


@dataclass
class Working:
    """One order at the exchange."""

    request: VenueRequest
    total: int
    status: str = "new"
    filled: int = 0
    inherited: int = 0
    trades: list[VenueFill] = field(default_factory=list)

    @property
    def live(self) -> bool:
        """Say whether it can trade."""
        return self.status in ("new", "held")

    @property
    def leaves(self) -> int:
        """Return what is left."""
        return max(0, self.total - self.inherited - self.filled)


class Exchange:
    """All accounts at one venue."""

    def __init__(self) -> None:
        self.orders: dict[str, Working] = {}
        self.never: set[str] = set()
        self.replaced_by: dict[str, str] = {}
        self.trades: list[VenueFill] = []

    def work(self, request: VenueRequest, way: str, ts_ns: int) -> list[VenueReport]:
        """Take a request off the line; return what comes back of it."""
        if request.verb == "query":
            return [] if way.startswith(("lost", "silent")) else self._query(request, ts_ns)
        if way in ("lost_before", "silent_before"):
            return [report_of(request, Unknown("TIMEOUT"), ts_ns)] if way == "lost_before" else []
        outcome = Rejected("REFUSED") if way == "refuse" and request.verb != "cancel" else self._effect(request)
        if isinstance(outcome, Rejected) and request.verb == "new":
            self.never.add(request.order)
        if way == "lost_after":
            return [report_of(request, Unknown("TIMEOUT"), ts_ns)]
        return [] if way == "silent_after" else [report_of(request, outcome, ts_ns)]

    def trade(self, order: Working, qty: int, price: int, fee: int, ts_ns: int) -> VenueFill:
        """Execute a part of an order, more than is left if told so."""
        request = order.request
        fill = VenueFill(
            account=request.account,
            ts_ns=ts_ns,
            order=request.order,
            venue=NAME,
            trade_id=f"t{len(self.trades)}",
            instrument=request.instrument,
            side=request.side,
            qty=to_text(qty, request.qty_scale),
            price=to_text(price, request.price_scale),
            fee=to_text(fee, CASH_SCALE),
        )
        order.filled += qty
        order.trades.append(fill)
        self.trades.append(fill)
        if not order.leaves:
            order.status = "filled"
        return fill

    def end(self, order: Working, status: str, ts_ns: int) -> VenueReport:
        """End an order without being asked."""
        order.status = status
        request = order.request
        kind = VenueExpired if status == "expired" else VenueCanceled
        return kind(account=request.account, ts_ns=ts_ns, order=request.order, venue=NAME)

    def view(self, account: str, retired: set[str]) -> VenueView:
        """Return everything that the exchange says of an account, but for orders from long ago."""
        mine = [o for o in self.orders.values() if o.request.account == account and o.request.order not in retired]
        return VenueView(
            venue=NAME,
            orders=tuple(
                VenueOrder(
                    order=o.request.order,
                    instrument=o.request.instrument,
                    status="canceled" if o.status == "replaced" else o.status,  # type: ignore[arg-type]  # one of them
                    filled_qty=o.filled,
                    venue_order_id=f"v{o.request.order[:8]}",
                )
                for o in mine
            ),
            fills=tuple(fill for o in mine for fill in o.trades),
        )

    def _effect(self, request: VenueRequest) -> Outcome:
        order = self.orders.get(request.order)
        if request.verb == "cancel":
            if order is None or not order.live:
                return Rejected("TOO_LATE")
            order.status = "canceled"
            return Confirmed()
        if request.order in self.never:
            return Rejected("TOO_LATE")
        assert order is None, f"{request.request_id}: an intent was sent twice"
        held = request.stop_price is not None
        made = Working(request, request.qty, "held" if held else "new")
        if request.verb == "replace":
            old = self.orders.get(request.replaces)
            if old is None or not old.live or request.qty <= old.filled + old.inherited:
                self.never.add(request.order)
                return Rejected("TOO_LATE")
            old.status = "replaced"
            made.inherited = old.filled + old.inherited
            self.replaced_by[request.replaces] = request.order
        self.orders[request.order] = made
        return Confirmed(f"v{request.order[:8]}", held)

    def _query(self, request: VenueRequest, ts_ns: int) -> list[VenueReport]:
        order = self.orders.get(request.order)
        if order is None:
            self.never.add(request.order)
            return [report_of(request, NotFound(), ts_ns)]
        fills: list[VenueReport] = list(order.trades)
        if order.status == "replaced":
            child = self.orders[self.replaced_by[request.order]]
            return [*fills, report_of(child.request, Confirmed(f"v{child.request.order[:8]}"), ts_ns)]
        found = Found(
            order.status,  # type: ignore[arg-type]  # `replaced` is answered above
            f"v{request.order[:8]}",
            to_text(order.filled, request.qty_scale),
        )
        return [*fills, report_of(request, found, ts_ns)]
