"""The only code that changes the state: one event, in place, in journal order. It decides nothing."""

from bisect import bisect_left
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from trading.accounting.lots import average_fill
from trading.commands import VenueFill
from trading.events import (
    AccountOpened,
    AnyEvent,
    CashMoved,
    FillQuarantined,
    KillChanged,
    LimitsChanged,
    ModeChanged,
    OrderAccepted,
    OrderFilled,
    OrderMoved,
    OrderRefused,
    OrdersRetired,
    Status,
)
from trading.orders.idempotency import GONE, intent_digest, remember, trade_key
from trading.orders.state import MAX_QUARANTINED, Account, OrderRow, State
from trading.orders.transitions import LATE_FILL, TERMINAL, WAITING, IllegalMoveError, require_move
from trading.risk.exposure import ANY_BUY, ANY_SELL, Holding
from trading.risk.limits import Limits


def evolve(state: State, event: AnyEvent) -> None:
    """Apply one event. An event that cannot follow from this state raises: a corrupt journal must stop the owner."""
    apply = _APPLY.get(type(event))
    if apply is not None:
        apply(state, event)


def _accepted(state: State, event: OrderAccepted) -> None:
    account, order = state.accounts[event.account], event.order
    assert order not in state.orders, "an order is accepted once"
    account.orders_seen += 1
    row = OrderRow(event, account.orders_seen, updated_ts_ns=event.ts_ns)
    state.orders[order] = account.open[order] = row
    exposure, limits = account.exposure, account.limits
    assert limits is not None, "nothing is approved without limits"
    exposure.open_orders += 1
    exposure.spend(event.ts_ns, limits.message_gap_ns)
    same = (event.strategy, event.instrument, row.side, event.qty, event.type, event.limit_price, event.stop_price)
    exposure.note_order(same, event.ts_ns, limits.repeat_window_ns)
    holding = exposure.holding(event.instrument, event.price_scale, event.qty_scale)
    if event.replaces:
        parent = state.orders[event.replaces]
        parent.replaced_by = order
        row.inherited = parent.filled + parent.inherited
        _rehold(state, account, holding, row)
    else:
        _hold(account, holding, row, event.qty, event.qty * event.hold_price)
    index(state, row, holding)
    state.dirty.add(order)
    state.dirty.add(event.account)


def index(state: State, row: OrderRow, holding: Holding) -> None:
    """Note an open order in the derived indexes."""
    intent = row.intent
    price = _resting_price(intent)
    if price is not None:
        holding.rest(row.side, price)
    if intent.expire_ts_ns is not None:
        heappush(state.deadlines, (intent.expire_ts_ns, intent.order))
    if row.status in WAITING:
        state.waiting[intent.order] = row.updated_ts_ns


def _resting_price(intent: OrderAccepted) -> int | None:
    """Return the worst price at which an open order may trade now, None while it waits for its stop."""
    if intent.limit_price is not None or intent.stop_price is not None:
        return intent.limit_price
    return ANY_BUY if intent.side == "buy" else ANY_SELL


def target_hold(state: State, row: OrderRow) -> tuple[int, int]:
    """Return the quantity and the raw exposure that an order must hold in its present status.

    While a replacement is pending, either order may trade but not both: the old one holds its own, the new one only
    what it needs beyond that.
    """
    if row.status in TERMINAL:
        return 0, 0
    intent = row.intent
    qty = row.leaves
    raw = qty * intent.hold_price
    if intent.replaces:
        parent = state.orders.get(intent.replaces)
        if parent is not None and not parent.ended:
            return max(0, qty - parent.held_qty), max(0, raw - parent.held_raw)
    return qty, raw


def _rehold(state: State, account: Account, holding: Holding, row: OrderRow) -> None:
    qty, raw = target_hold(state, row)
    if qty != row.held_qty or raw != row.held_raw:
        _hold(account, holding, row, qty, raw)
    if row.replaced_by:
        child = state.orders.get(row.replaced_by)
        if child is not None and (not child.ended or child.status == "replaced"):
            child.inherited = row.filled + row.inherited
            state.dirty.add(row.replaced_by)
            _rehold(state, account, holding, child)


def _hold(account: Account, holding: Holding, row: OrderRow, qty: int, raw: int) -> None:
    holding.reserve(1 if row.intent.side == "buy" else -1, qty - row.held_qty, raw - row.held_raw)
    row.held_qty, row.held_raw = qty, raw
    account.exposure.touch(holding)


def _moved(state: State, event: OrderMoved) -> None:
    row, to = state.orders[event.order], event.to
    require_move(event.order, row.status, to)
    account = state.accounts[row.intent.account]
    if event.venue_order_id:
        row.venue_order_id = event.venue_order_id
    if event.reason:
        row.reason = event.reason
    if to == "pending_cancel" and event.request:
        row.cancels += 1
        limits = account.limits
        assert limits is not None, "an order has limits"
        account.exposure.spend(event.ts_ns, limits.message_gap_ns)
    elif to == "held":
        row.at_venue_held = True
    elif to == "new":
        row.at_venue_held = False
    _enter(state, account, row, to, event.ts_ns)


def _enter(state: State, account: Account, row: OrderRow, to: Status, ts_ns: int) -> None:
    order, was_ended = row.intent.order, row.status in TERMINAL
    row.status = to
    row.version += 1
    if ts_ns > row.updated_ts_ns:
        row.updated_ts_ns = ts_ns
    if to in WAITING:
        state.waiting[order] = row.updated_ts_ns
    else:
        state.waiting.pop(order, None)
    if to in TERMINAL and not was_ended:
        _end(state, account, row)
    state.dirty.add(order)
    state.dirty.add(account.id)


def _end(state: State, account: Account, row: OrderRow) -> None:
    intent, order = row.intent, row.intent.order
    row.ended_ts_ns = row.updated_ts_ns
    del account.open[order]
    account.end(row)
    account.exposure.open_orders -= 1
    holding = account.exposure.holdings[intent.instrument]
    _rehold(state, account, holding, row)
    price = _resting_price(intent)
    if price is not None:
        holding.unrest(row.side, price)
    if state.deadlines:
        _drop_dead_deadlines(state)


def _drop_dead_deadlines(state: State) -> None:
    deadlines, orders = state.deadlines, state.orders
    while deadlines:
        row = orders.get(deadlines[0][1])
        if row is not None and not row.ended:
            return
        heappop(deadlines)


def _filled(state: State, event: OrderFilled) -> None:
    row = state.orders[event.order]
    account = state.account_of(row)
    key = trade_key(event.venue, event.trade_id)
    assert key not in account.trades, "an execution is applied once"
    content = account.trades[key] = fill_content(event.order, event.qty, event.price, event.fee)
    if row.trades is None:
        row.trades = []
    row.trades.append((key, content))
    row.filled += event.qty - event.overfill
    row.overfilled += event.overfill
    row.cost += event.cost
    row.fee += event.fee
    holding = account.exposure.holdings[row.intent.instrument]
    holding.qty, holding.cost, gain = average_fill(holding.qty, holding.cost, row.side * event.qty, event.cost)
    holding.realised += gain
    holding.fees += event.fee
    account.exposure.cash -= event.cost + event.fee
    account.exposure.touch(holding)
    if row.status in TERMINAL:
        if event.to != row.status or row.status not in LATE_FILL:
            raise IllegalMoveError(f"order {event.order}: late fill {row.status} -> {event.to}")
    else:
        require_move(event.order, row.status, event.to)
    _enter(state, account, row, event.to, event.ts_ns)
    # Of what does not end an order only a fill changes what it holds.
    _rehold(state, account, holding, row)


def fill_content(order: str, qty: int, price: int, fee: int) -> str:
    """Return what two reports of one execution must agree on."""
    return f"{order}/{qty}/{price}/{fee}"


def quarantine_content(fill: FillQuarantined | VenueFill) -> str:
    """Return the content of an execution that fits no order, as it came."""
    return f"quarantine/{fill.order}/{fill.instrument}/{fill.side}/{fill.qty}/{fill.price}/{fill.fee}"


def _quarantined(state: State, event: FillQuarantined) -> None:
    account = state.accounts.get(event.account)
    if account is None or account.quarantined >= MAX_QUARANTINED:
        return
    account.quarantined += 1
    key = trade_key(event.venue, event.trade_id)
    account.aside.setdefault(key, quarantine_content(event))
    state.dirty.add(account.id)


def _refused(state: State, event: OrderRefused) -> None:
    account = state.accounts.get(event.account)
    if account is None or event.repeat or not event.digest:
        return
    state.dirty.add(account.remember(event.order, remember(event.digest, event.code.encode())))


def _opened(state: State, event: AccountOpened) -> None:
    assert event.account not in state.accounts, "an account is opened once"
    state.accounts[event.account] = Account(event.account, event.currency, event.ts_ns)
    state.dirty.add(event.account)


def _cash(state: State, event: CashMoved) -> None:
    account = state.accounts[event.account]
    account.exposure.cash += event.amount
    account.deposits[event.ref] = event.amount
    state.dirty.add(event.account)


def _limits(state: State, event: LimitsChanged) -> None:
    state.accounts[event.account].limits = Limits(event.version, event.limits)
    state.dirty.add(event.account)


def _control(state: State, event: ModeChanged | KillChanged) -> None:
    state.controls.apply(event)


def _retired(state: State, event: OrdersRetired) -> None:
    account = state.accounts[event.account]
    count = bisect_left(account.ended, (event.ended_until_ns + 1,))
    gone, account.ended = account.ended[:count], account.ended[count:]
    for _, order in gone:
        row = state.orders.pop(order)
        state.dirty.add(account.remember(order, remember(intent_digest(row.intent), GONE)))
        for key, _ in row.trades or ():
            del account.trades[key]
        state.dirty.add(order)
    _drop_dead_deadlines(state)
    state.dirty.add(account.id)


_APPLY: dict[type, Callable[[State, Any], None]] = {
    OrderAccepted: _accepted,
    OrderMoved: _moved,
    OrderFilled: _filled,
    OrderRefused: _refused,
    FillQuarantined: _quarantined,
    AccountOpened: _opened,
    CashMoved: _cash,
    LimitsChanged: _limits,
    ModeChanged: _control,
    KillChanged: _control,
    OrdersRetired: _retired,
}
