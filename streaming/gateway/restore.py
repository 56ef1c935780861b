"""The story of the open orders, told again from the owner's snapshot: no need to read a long journal from its start.

Events that have the same effect on outbox and venue as the real ones: one fill carries the quantity, the others only
count, because trade ids number an order's executions.
"""

from collections.abc import Iterator

import msgspec

from trading.events import AnyEvent, OrderAccepted, OrderFilled, OrderMoved, Status
from trading.orders.idempotency import request_id
from trading.orders.state import OrderRow, State


def story_of(state: State) -> list[AnyEvent]:
    """Return events that make up the open orders, in the order of their acceptance."""
    rows = [row for account in state.accounts.values() for row in account.open.values()]
    rows.sort(key=lambda row: (row.intent.ts_ns, row.intent.account, row.n))
    return [event for row in rows for event in _order(state, row)]


def _order(state: State, row: OrderRow) -> Iterator[AnyEvent]:
    intent = row.intent
    parent = state.orders.get(intent.replaces) if intent.replaces else None
    if intent.replaces and (parent is None or parent.ended):
        # What the replaced order had filled counts against this one.
        old = msgspec.structs.replace(intent, order=intent.replaces, replaces="", qty=row.inherited, request="")
        yield old
        if row.inherited:
            yield _fill(old, row.inherited, "replaced order", "partially_filled")
        yield intent
        yield OrderMoved(intent.account, row.updated_ts_ns, intent.replaces, "replaced")
    else:
        yield intent
    if row.venue_order_id:
        yield _move(row, "held" if row.at_venue_held else "new")
    for place, (trade, _) in enumerate(row.trades or ()):
        yield _fill(intent, 0 if place else row.filled + row.overfilled, trade, "partially_filled")
    if row.status == "pending_cancel":
        yield _move(row, "pending_cancel", request_id(row.id, "cancel", row.cancels) if row.cancels else "")
    elif row.status in ("unknown", "pending_replace"):
        yield _move(row, row.status)


def _move(row: OrderRow, to: Status, request: str = "") -> OrderMoved:
    return OrderMoved(row.intent.account, row.updated_ts_ns, row.id, to, row.reason, request, row.venue_order_id)


def _fill(intent: OrderAccepted, qty: int, trade: str, to: Status) -> OrderFilled:
    account, ts_ns = intent.account, intent.ts_ns
    return OrderFilled(account, ts_ns, intent.order, intent.instrument, intent.side, "", trade, qty, 0, 0, 0, to)
