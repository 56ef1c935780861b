"""Decide on what venues say. Late, repeated and contradictory reports are normal: each has its row here."""

from trading.accounting.pnl import fill_cost
from trading.amounts import CASH_SCALE, INT64_MAX, AmountError, parse_exact
from trading.commands import (
    TradingMode,
    VenueAccepted,
    VenueCanceled,
    VenueExpired,
    VenueFill,
    VenueRejected,
    VenueReplaced,
    VenueReport,
    VenueState,
    VenueUnknown,
)
from trading.events import (
    Alert,
    AnyEvent,
    CommandRefused,
    FillQuarantined,
    ModeChanged,
    OrderFilled,
    OrderMoved,
    Status,
)
from trading.orders.cancels import wanted_cancel
from trading.orders.evolve import fill_content, quarantine_content
from trading.orders.expiry import EXPIRED, doubt
from trading.orders.idempotency import trade_key
from trading.orders.state import OrderRow, State
from trading.orders.transitions import can_move
from trading.risk.market import MarketView

Events = list[AnyEvent]
# A replacement in one of these may never have reached its venue.
UNPROVEN: frozenset[Status] = frozenset({"pending_new", "pending_cancel", "unknown"})


def accepted(state: State, report: VenueAccepted, _market: MarketView) -> Events:
    """The order works at its venue."""
    row = _find(state, report)
    if row is None:
        return _stranger(report, "accepted")
    if row.status == "pending_cancel":
        if row.venue_order_id or not report.venue_order_id:
            return []
        return [_move(row, report, "pending_cancel", row.reason)]
    if row.status not in ("pending_new", "unknown"):
        return []
    parent = _pending_parent(state, row)
    before: Events = [] if parent is None else [_move(parent, report, "replaced", "REPLACED")]
    return before + _working(row, report, _standing(state, row, held=report.held))


def rejected(state: State, report: VenueRejected, _market: MarketView) -> Events:
    """A request had no effect."""
    row = _find(state, report)
    if row is None:
        return _stranger(report, "rejected")
    if row.ended:
        return []
    if report.request == "new":
        if row.status not in ("pending_new", "unknown", "pending_cancel") or row.filled or row.venue_order_id:
            return [_alert(report, "REJECT_OF_WORKING_ORDER", f"the order is {row.status}")]
        return [_move(row, report, "rejected", report.code or "VENUE_REJECTED")]
    if report.request == "cancel":
        if row.status not in ("pending_cancel", "unknown"):
            return []
        return [_move(row, report, _standing(state, row), "CANCEL_REJECTED")]
    return _replacement_rejected(state, row, report)


def filled(state: State, report: VenueFill, _market: MarketView) -> Events:
    """One execution: applied once, or kept aside if it fits nothing of ours."""
    account = state.accounts.get(report.account)
    if account is None:
        return [
            _aside(report, "ACCOUNT_UNKNOWN"),
            _alert(report, "UNKNOWN_FILL", "an execution for no account of ours"),
        ]
    key = trade_key(report.venue, report.trade_id)
    before = account.execution(key)
    row = _find(state, report)
    amounts = None if row is None else _amounts(report, row)
    if row is None or amounts is None:
        if before is not None:
            return [] if before == quarantine_content(report) else [_conflict(report)]
        code = _misfit(report, row)
        return [_aside(report, code), _alert(report, code, "an execution that cannot be one of ours")]
    qty, price, fee, cost = amounts
    if before is not None:
        if before == fill_content(row.id, qty, price, fee):
            return []
        return [_conflict(report)]
    events: Events = []
    parent = _pending_parent(state, row)
    leaves = row.leaves
    if parent is not None:
        # An execution of the new order says that the venue has replaced the old one.
        events.append(_move(parent, report, "replaced", "REPLACED"))
    excess = max(0, qty - leaves)
    events.append(
        OrderFilled(
            report.account,
            report.ts_ns,
            row.id,
            row.intent.instrument,
            row.intent.side,
            report.venue,
            report.trade_id,
            qty,
            price,
            cost,
            fee,
            _after_fill(state, row, leaves - qty),
            row.ended,
            excess,
            report.liquidity,
        )
    )
    if excess:
        events.append(_alert(report, "OVERFILL", f"{excess} more than the order had left"))
        old = state.controls.mode_of("instrument", report.account, report.instrument)
        if old != "halted":
            events.append(_halt(report, old))
    elif row.ended:
        events.append(_alert(report, "LATE_FILL", f"an execution after the order was {row.status}"))
    child = state.orders.get(row.replaced_by) if row.replaced_by else None
    if child is not None and not row.ended and leaves == qty and child.status in ("pending_new", "unknown"):
        events.append(_move(child, report, "rejected", "TOO_LATE"))
        return events
    return events + _used_up(state, row, report, qty - excess)


def canceled(state: State, report: VenueCanceled, _market: MarketView) -> Events:
    """The order no longer works; if that was for its expiry, it has expired."""
    row = _find(state, report)
    if row is None:
        return _stranger(report, "canceled")
    return _end(state, row, report, "expired" if row.reason == EXPIRED else "canceled", report.reason)


def expired(state: State, report: VenueExpired, _market: MarketView) -> Events:
    """The venue says that the time in force has ended."""
    row = _find(state, report)
    if row is None:
        return _stranger(report, "expired")
    return _end(state, row, report, "expired", EXPIRED)


def replaced(state: State, report: VenueReplaced, _market: MarketView) -> Events:
    """The new order works in place of the old one."""
    row = _find(state, report)
    child = state.orders.get(report.new_order)
    if row is None or child is None or child.intent.replaces != row.id:
        return _stranger(report, "replaced")
    if not row.ended and not can_move(row.status, "replaced"):
        return [_alert(report, "REPLACE_UNEXPECTED", f"the order is {row.status}, its replacement {child.status}")]
    events: Events = []
    if not row.ended:
        events.append(_move(row, report, "replaced", "REPLACED"))
    if child.status in ("pending_new", "unknown"):
        if child.intent.qty <= row.filled + row.inherited:
            events.append(_move(child, report, "canceled", "NOTHING_LEFT"))
        else:
            events += _working(child, report, _standing(state, child))
    return events


def unknown(state: State, report: VenueUnknown, _market: MarketView) -> Events:
    """Nothing certain came back. Exposure stays reserved until the venue has been asked."""
    row = _find(state, report)
    if row is None:
        return _stranger(report, "unknown")
    if row.status not in ("pending_new", "pending_cancel", "pending_replace"):
        return []
    return [_move(row, report, "unknown", doubt(row))]


def resolved(state: State, report: VenueState, _market: MarketView) -> Events:
    """The answer to a query ends the doubt, unless executions that it implies have not come yet."""
    row = _find(state, report)
    if row is None:
        return _stranger(report, "state")
    if row.status not in ("unknown", "pending_new", "pending_cancel", "pending_replace"):
        return []
    if not report.found:
        if row.venue_order_id or row.filled:
            return [_alert(report, "ORDER_LOST", "the venue does not know an order that it had accepted")]
        if row.intent.replaces:
            return _replace_rejected(state, state.orders.get(row.intent.replaces), report, "NEVER_ARRIVED", row)
        return [_move(row, report, "rejected", "NEVER_ARRIVED")]
    try:
        venue_filled = parse_exact(report.filled_qty, row.intent.qty_scale)
    except AmountError as error:
        return [_alert(report, "AMOUNT_INVALID", str(error))]
    if venue_filled > row.filled + row.overfilled:
        return [_alert(report, "MISSING_FILLS", "the venue has filled more than it has reported")]
    if report.status in ("new", "held"):
        if row.status in ("pending_cancel", "pending_replace"):
            return []
        parent = _pending_parent(state, row)
        before: Events = [] if parent is None else [_move(parent, report, "replaced", "REPLACED")]
        return before + _working(row, report, _standing(state, row, held=report.status == "held"))
    if report.status in ("canceled", "expired", "rejected"):
        return _end(state, row, report, report.status, row.reason)
    return [_alert(report, "STATE_UNCLEAR", f"the venue says {report.status!r}")]


def _used_up(state: State, row: OrderRow, report: VenueFill, qty: int) -> Events:
    """End a replacement of which an execution of the old order takes the rest, if it is known to have arrived."""
    last = row
    while last.replaced_by in state.orders and (last is row or last.status == "replaced"):
        last = state.orders[last.replaced_by]
    proven = last.filled or last.venue_order_id or last.status not in UNPROVEN
    if last is row or last.ended or not proven or last.leaves > qty:
        return []
    return _end(state, last, report, "filled", "OLD_ORDER_FILLED")


def _working(row: OrderRow, report: VenueReport, status: Status) -> Events:
    events: Events = [_move(row, report, status, "")]
    wish = wanted_cancel(row, report.ts_ns)
    if wish is not None:
        events.append(wish)
    return events


def _end(state: State, row: OrderRow, report: VenueReport, to: Status, reason: str) -> Events:
    if row.ended:
        return []
    events: Events = [_move(row, report, to, reason or row.reason)]
    child = state.orders.get(row.replaced_by) if row.replaced_by else None
    if child is not None and child.status in UNPROVEN:
        events.append(_move(child, report, "rejected", "TOO_LATE"))
    return events


def _standing(state: State, row: OrderRow, *, held: bool = False) -> Status:
    """Return the status of an order when no cancel is pending on it: a replacement may still be on its way."""
    child = state.orders.get(row.replaced_by) if row.replaced_by else None
    if child is not None and not child.ended:
        return "pending_replace"
    return "held" if held else row.working_status


def _replacement_rejected(state: State, row: OrderRow, report: VenueRejected) -> Events:
    code = report.code or "REPLACE_REJECTED"
    if not row.intent.replaces or _standing(state, row) == "pending_replace":
        return _replace_rejected(state, row, report, code)
    # The report names the new order itself, so that a repetition cannot hit a later replacement.
    if row.status not in UNPROVEN or row.filled:
        return [_alert(report, "REJECT_OF_WORKING_ORDER", f"the order is {row.status}")]
    return _replace_rejected(state, state.orders.get(row.intent.replaces), report, code, row)


def _replace_rejected(
    state: State, parent: OrderRow | None, report: VenueReport, code: str, child: OrderRow | None = None
) -> Events:
    events: Events = []
    if child is None and parent is not None and parent.replaced_by:
        child = state.orders.get(parent.replaced_by)
    if child is not None and child.status in UNPROVEN:
        events.append(_move(child, report, "rejected", code))
    if parent is not None and parent.status in ("pending_replace", "unknown"):
        events += _working(parent, report, parent.working_status)
    return events


def _pending_parent(state: State, row: OrderRow) -> OrderRow | None:
    parent = state.orders.get(row.intent.replaces) if row.intent.replaces else None
    return parent if parent is not None and parent.status in ("pending_replace", "pending_cancel", "unknown") else None


def _after_fill(state: State, row: OrderRow, left: int) -> Status:
    if row.ended:
        return row.status
    if left <= 0:
        return "filled"
    # A fill proves that the order arrived; it says nothing of a cancel or a replacement that is on its way.
    if row.status in ("pending_cancel", "pending_replace"):
        return row.status
    if row.status == "unknown" and (row.venue_order_id or _standing(state, row) == "pending_replace"):
        return "unknown"
    return "partially_filled"


def _misfit(report: VenueFill, row: OrderRow | None) -> str:
    if row is None:
        return "ORDER_UNKNOWN"
    fits = (row.intent.instrument, row.intent.side) == (report.instrument, report.side)
    return "AMOUNT_INVALID" if fits else "FILL_MISMATCH"


def _amounts(report: VenueFill, row: OrderRow) -> tuple[int, int, int, int] | None:
    intent = row.intent
    if (intent.instrument, intent.side) != (report.instrument, report.side):
        return None
    try:
        qty = parse_exact(report.qty, intent.qty_scale)
        price = parse_exact(report.price, intent.price_scale)
        fee = parse_exact(report.fee, CASH_SCALE)
    except AmountError:
        return None
    if qty <= 0 or price <= 0:
        return None
    cost = fill_cost(row.side, price, qty, intent.price_scale, intent.qty_scale)
    return (qty, price, fee, cost) if abs(cost) <= INT64_MAX else None


def _find(state: State, report: VenueReport) -> OrderRow | None:
    row = state.orders.get(report.order)
    return row if row is not None and row.intent.account == report.account else None


def _move(row: OrderRow, report: VenueReport, to: Status, reason: str) -> OrderMoved:
    venue_id = ""
    if to != "replaced" and isinstance(report, (VenueAccepted, VenueReplaced, VenueState)):
        venue_id = report.venue_order_id
    return OrderMoved(row.intent.account, report.ts_ns, row.intent.order, to, reason, "", venue_id)


def _stranger(report: VenueReport, kind: str) -> Events:
    message = f"a venue report ({kind}) for an order that is not in the state"
    return [CommandRefused(report.account, report.ts_ns, kind, "ORDER_UNKNOWN", message, report.order)]


def _alert(report: VenueReport, code: str, message: str) -> Alert:
    return Alert(report.account, report.ts_ns, code, message, report.order)


def _conflict(report: VenueFill) -> Alert:
    return _alert(report, "FILL_CONFLICT", f"trade {report.trade_id} came again with other content")


def _halt(report: VenueFill, old: TradingMode) -> ModeChanged:
    return ModeChanged(report.account, report.ts_ns, "instrument", report.instrument, old, "halted", "risk", "OVERFILL")


def _aside(report: VenueFill, code: str) -> FillQuarantined:
    return FillQuarantined(
        report.account,
        report.ts_ns,
        code,
        report.order,
        report.instrument,
        report.side,
        report.venue,
        report.trade_id,
        report.qty,
        report.price,
        report.fee,
    )
