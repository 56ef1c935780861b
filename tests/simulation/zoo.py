"""Planted defects: small substitutions in the core, each of a kind that has cost somebody money.

`planted(name)` puts one in for the length of a `with`. The simulator must find every one of them.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec

from trading import commands as c
from trading import events as e
from trading.accounting import lots
from trading.amounts import CASH_SCALE
from trading.orders import evolve, expiry, idempotency, journal, oms, reconcile, reports, snapshot, transitions
from trading.orders.state import Account, OrderRow, State
from trading.risk import checks, gate, screen
from trading.risk.context import Context
from trading.risk.exposure import Exposure, Holding
from trading.risk.limits import Limits
from trading.risk.market import MarketView
from trading.risk.var import CENT
from trading.routing import book
from trading.routing.plan import Outbox, VenueRequest

Swap = tuple[Any, str, Any]
Events = list[e.AnyEvent]
Decide = Callable[[State, Any, MarketView], Events]


def handler(command: type, wrap: Callable[[Decide], Decide]) -> Swap:
    """Return the swap of what decides on a command."""
    return (oms._DECIDE, "", {command: wrap(oms._DECIDE[command])})


def applier(event: type, wrap: Callable[[Callable[[State, Any], None]], Callable[[State, Any], None]]) -> Swap:
    """Return the swap of what applies an event."""
    return (evolve._APPLY, "", {event: wrap(evolve._APPLY[event])})


def rules(name: str, *instead: checks.Rule) -> Swap:
    """Return the swap of one rule of the gate."""
    assert any(rule.__name__ == name for rule in checks.RULES), f"there is no rule {name}"
    kept = tuple(rule for rule in checks.RULES if rule.__name__ != name)
    return (gate, "RULES", (*instead, *kept))


def changed(change: Callable[[State, Any, Events], Events]) -> Callable[[Decide], Decide]:
    """Return a wrapper that changes what was decided."""

    def wrap(decide: Decide) -> Decide:
        return lambda state, command, market: change(state, command, decide(state, command, market))

    return wrap


def each(events: Events, kind: type, **fields: Any) -> Events:
    """Return the events with some fields of one kind replaced."""
    return [msgspec.structs.replace(event, **fields) if isinstance(event, kind) else event for event in events]


# Exposure.

_target_hold = evolve.target_hold
_reserve = Holding.reserve


def _kept_after_cancel(state: State, row: OrderRow) -> tuple[int, int]:
    return (row.held_qty, row.held_raw) if row.status == "canceled" else _target_hold(state, row)


def _released_twice(holding: Holding, side: int, qty: int, raw: int) -> None:
    if qty < 0:
        open_qty, open_raw = (holding.buy_open, holding.buy_raw) if side > 0 else (holding.sell_open, holding.sell_raw)
        qty, raw = max(-open_qty, 2 * qty), max(-open_raw, 2 * raw)
    _reserve(holding, side, qty, raw)


def _counted_twice(state: State, row: OrderRow) -> tuple[int, int]:
    qty = 0 if row.ended else row.leaves
    return qty, qty * row.intent.hold_price


def _nothing_inherited(apply: Callable[[State, Any], None]) -> Callable[[State, Any], None]:
    def accepted(state: State, event: e.OrderAccepted) -> None:
        apply(state, event)
        state.orders[event.order].inherited = 0

    return accepted


# Executions.

_counter = itertools.count()


def _any_key(venue: str, trade_id: str) -> str:
    return f"{venue}\x1f{trade_id}\x1f{next(_counter)}"


def _late_dropped(state: State, report: c.VenueFill, events: Events) -> Events:
    row = state.orders.get(report.order)
    late = row is not None and row.ended and any(isinstance(event, e.OrderFilled) for event in events)
    return [] if late else events


def _overfill_hidden(_state: State, _report: c.VenueFill, events: Events) -> Events:
    if not any(isinstance(event, e.OrderFilled) and event.overfill for event in events):
        return events
    return [
        event for event in each(events, e.OrderFilled, overfill=0) if not isinstance(event, e.Alert | e.ModeChanged)
    ]


def _not_halted(_state: State, _report: c.VenueFill, events: Events) -> Events:
    return [event for event in events if not isinstance(event, e.ModeChanged)]


def _fee_ignored(_state: State, _report: c.VenueFill, events: Events) -> Events:
    return each(events, e.OrderFilled, fee=0)


def _mismatch_applied(decide: Decide) -> Decide:
    def filled(state: State, report: c.VenueFill, market: MarketView) -> Events:
        row = state.orders.get(report.order)
        if row is not None:
            report = msgspec.structs.replace(report, side=row.intent.side, instrument=row.intent.instrument)
        return decide(state, report, market)

    return filled


_average_fill = lots.average_fill


def _wrong_sign_when_short(qty: int, cost: int, fill_qty: int, fill_cost: int) -> tuple[int, int, int]:
    if qty < 0 and fill_qty < 0:
        return qty - fill_qty, cost + fill_cost, 0
    return _average_fill(qty, cost, fill_qty, fill_cost)


def _rounded_down(side: int, price: int, qty: int, price_scale: int, qty_scale: int) -> int:
    shift = CASH_SCALE - price_scale - qty_scale
    value = price * qty
    cash: int = value * 10**shift if shift >= 0 else value // 10**-shift
    return side * cash


# Identity.


def _new_order_each_time(account: str, client_order_id: str) -> str:
    return idempotency.order_id(account, f"{client_order_id}/{next(_counter)}")


def _reuse_unseen(*_: Any) -> Events:
    return []


def _digests_forgotten(_apply: Callable[[State, Any], None]) -> Callable[[State, Any], None]:
    def retired(state: State, event: e.OrdersRetired) -> None:
        account = state.accounts[event.account]
        _apply(state, event)
        account.known.clear()
        account.arrived.clear()

    return retired


# Controls and rules.


def _kill_but_strategies(context: Context) -> e.Breach | None:
    return None if context.draft.strategy else checks.kill_switch(context)


def _no_cancel_under_kill(decide: Decide) -> Decide:
    def cancel(state: State, command: c.CancelOrder, market: MarketView) -> Events:
        if state.controls.killed:
            return [e.CommandRefused(command.account, command.ts_ns, "cancel", "KILL_SWITCH", "no", command.order)]
        return decide(state, command, market)

    return cancel


def _anybody_revives(_decide: Decide) -> Decide:
    def revive(state: State, command: c.Revive, _market: MarketView) -> Events:
        if not state.controls.killed:
            return []
        return [e.KillChanged(command.account, command.ts_ns, False, command.actor, command.reason)]

    return revive


_limits_init = Limits.__init__


def _stale_for_long(limits: Limits, version: int, body: c.LimitsBody) -> None:
    _limits_init(limits, version, body)
    limits.price_max_age_ns *= 2


def _collar_with_a_tick(context: Context) -> e.Breach | None:
    breach = checks.price_collar(context)
    if breach is None or not isinstance(breach.value, int) or not isinstance(breach.limit, int):
        return None
    return None if abs(breach.value - breach.limit) <= context.instrument.tick else breach


def _position_without_open_orders(context: Context) -> e.Breach | None:
    limit = context.scale.max_position_qty
    after = context.draft.side * context.holding.qty + context.draft.qty
    return None if after <= limit else e.Breach("MAX_POSITION", limit, after)


def _short_without_open_orders(context: Context) -> e.Breach | None:
    if context.draft.qty <= context.holding.qty:
        return None
    return checks.short_sale(context)


def _never_drains(exposure: Exposure, ts_ns: int, gap_ns: int) -> None:
    exposure.tat_ns = (exposure.tat_ns or ts_ns) + gap_ns


_check = gate.check


def _open_on_failure(draft: Any, account: Any, limits: Any, controls: Any, market: MarketView) -> Any:
    verdict = _check(draft, account, limits, controls, market)
    if isinstance(verdict, gate.Refused) and verdict.code == "RISK_FAILED":
        inputs = e.RiskInputs(0, 0, market.version, limits.version, 0, 0)
        price = draft.limit_price or 1
        return gate.Approved(draft, market.instruments[draft.instrument], price, inputs)
    return verdict


_screen = screen.hold_price_if_safe


def _screen_forgets_orders(draft: Any, instrument: Any, account: Exposure, *rest: Any) -> int:
    holding = account.holdings.get(draft.instrument)
    if holding is None:
        return _screen(draft, instrument, account, *rest)
    resting = holding.resting_buys, holding.resting_sells
    holding.resting_buys, holding.resting_sells = [], []
    try:
        return _screen(draft, instrument, account, *rest)
    finally:
        holding.resting_buys, holding.resting_sells = resting


# Doubt and time.


def _unknown_is_rejected(state: State, report: c.VenueUnknown, events: Events) -> Events:
    row = state.orders.get(report.order)
    if row is None or row.status != "pending_new":
        return events
    return [e.OrderMoved(report.account, report.ts_ns, report.order, "rejected", "TIMEOUT")]


def _replaced_doubt(_state: State, _report: c.Report, events: Events) -> Events:
    return [
        msgspec.structs.replace(event, to="new")
        if isinstance(event, e.OrderMoved) and event.to == "pending_replace"
        else event
        for event in events
    ]


def _wrong_order_due(heap: list[tuple[int, str]], now_ns: int) -> list[tuple[int, str]]:
    found = [entry for entry in heap if entry[0] <= now_ns]
    return [(found[0][0], heap[-1][1])] if found else []


def _expiry_forgotten(_heap: list[tuple[int, str]], _now_ns: int) -> list[tuple[int, str]]:
    return []


# Journal, snapshot and gateway.


def _no_cause(_state: State, _cause: str) -> None:
    return None


_seal = journal._seal


def _events_not_hashed(body: Any) -> tuple[bytes, str]:
    payload, real = _seal(body)
    _, other = _seal(msgspec.structs.replace(body, events=()))
    return payload.replace(real.encode(), other.encode()), other


_account_row = snapshot._account_row


def _without(field: str, empty: Any) -> Callable[[Account], bytes]:
    def encode(account: Account) -> bytes:
        row = msgspec.json.decode(_account_row(account))
        return msgspec.json.encode(row | {field: empty}, order="sorted")

    return encode


_restore_order = snapshot._restore_order


def _without_trades(state: State, row: OrderRow) -> None:
    row.trades = None
    _restore_order(state, row)


def _moves_not_saved(apply: Callable[[State, Any], None]) -> Callable[[State, Any], None]:
    def moved(state: State, event: e.OrderMoved) -> None:
        before = event.order in state.dirty
        apply(state, event)
        if not before:
            state.dirty.discard(event.order)

    return moved


_restore_partition = snapshot._restore_partition


def _kill_not_restored(state: State, row: snapshot.PartitionRow) -> int:
    offset = _restore_partition(state, row)
    state.controls.killed = False
    return offset


def _sent_again(box: Outbox) -> list[VenueRequest]:
    return list(box.asked.values())


# What each named invariant must find, where nothing above already asks for it.


def _told(code: str) -> Callable[[Decide], Decide]:
    def quiet(_state: State, _command: Any, events: Events) -> Events:
        return [event for event in events if not (isinstance(event, e.Alert) and event.code == code)]

    return changed(quiet)


def _not_kept_aside(_state: State, _report: c.VenueFill, events: Events) -> Events:
    return [event for event in events if not isinstance(event, e.FillQuarantined)]


def _doubt_of_a_working_order(state: State, report: c.VenueUnknown, events: Events) -> Events:
    row = state.orders.get(report.order)
    if row is None or row.status != "new":
        return events
    return [e.OrderMoved(report.account, report.ts_ns, report.order, "unknown", "TIMEOUT")]


def _version_again(apply: Callable[[State, Any], None]) -> Callable[[State, Any], None]:
    def moved(state: State, event: e.OrderMoved) -> None:
        apply(state, event)
        state.orders[event.order].version = 1

    return moved


def _never_fewer(apply: Callable[[State, Any], None]) -> Callable[[State, Any], None]:
    def moved(state: State, event: e.OrderMoved) -> None:
        account = state.account_of(state.orders[event.order])
        before = account.exposure.open_orders
        apply(state, event)
        account.exposure.open_orders = before

    return moved


def _fee_not_paid(apply: Callable[[State, Any], None]) -> Callable[[State, Any], None]:
    def filled(state: State, event: e.OrderFilled) -> None:
        apply(state, event)
        state.accounts[event.account].exposure.cash += event.fee

    return filled


def _mode_forgotten(apply: Callable[[State, Any], None]) -> Callable[[State, Any], None]:
    return lambda state, event: None if event.scope == "strategy" else apply(state, event)


def _cost_left_behind(qty: int, cost: int, fill_qty: int, fill_cost: int) -> tuple[int, int, int]:
    held, paid, gain = _average_fill(qty, cost, fill_qty, fill_cost)
    return (held, paid, gain) if held else (0, 1, gain + 1)


def _retired_unknown(apply: Callable[[State, Any], None]) -> Callable[[State, Any], None]:
    def retired(state: State, event: e.OrdersRetired) -> None:
        known = state.accounts[event.account].known
        arrived = state.accounts[event.account].arrived
        count = len(arrived)
        apply(state, event)
        for order in arrived[count:]:
            del known[order.hex()[:2]][order]
        del arrived[count:]

    return retired


_digest = idempotency._digest


def _any_qty(instrument: str, side: str, _qty: int, *rest: Any) -> str:
    return _digest(instrument, side, *rest)


def _known_is_past(decide: Decide) -> Decide:
    def submit(state: State, command: c.SubmitOrder, market: MarketView) -> Events:
        order = idempotency.order_id(command.account, command.client_order_id)
        if command.expire_ts_ns is None or command.expire_ts_ns > command.ts_ns or order not in state.orders:
            return decide(state, command, market)
        return [
            e.OrderRefused(command.account, command.ts_ns, order, command.client_order_id, "EXPIRE_TIME_PAST", "late")
        ]

    return submit


def _prose(_state: State, _command: Any, events: Events) -> Events:
    return each(events, e.CommandRefused, code="no such order")


def _held_shown_as_new(apply: Callable[[State, Any], None]) -> Callable[[State, Any], None]:
    def moved(state: State, event: e.OrderMoved) -> None:
        apply(state, event)
        if event.to == "held":
            state.orders[event.order].status = "new"

    return moved


def _first_version(_state: State, _command: Any, events: Events) -> Events:
    return each(events, e.LimitsChanged, version=1)


def _counted_request(order: str, verb: str, n: int = 0) -> str:
    return f"{idempotency.request_id(order, verb, n)}/{next(_counter)}"


_ask = Outbox._ask


def _one_more(box: Outbox, verb: Any, intent: e.OrderAccepted, request_id: str) -> VenueRequest:
    request = _ask(box, verb, intent, request_id)
    return msgspec.structs.replace(request, qty=request.qty + 1)


def _fills_not_compared(*_: Any) -> list[Any]:
    return []


def _counted_digest(*parts: str | int) -> str:
    return f"{parts}/{next(_counter)}"


def _said_is_forgotten(order: book.PaperOrder) -> int:
    return max(0, order.intent.qty - order.inherited - order.confirmed)


def _held_alone(holding: Holding) -> int:
    assert holding.quote is not None
    return holding.qty * holding.quote.mark * holding.mul // holding.div // CENT


DEFECTS: Mapping[str, Sequence[Swap]] = {
    "hold_kept_after_cancel": [(evolve, "target_hold", _kept_after_cancel)],
    "hold_released_twice": [(Holding, "reserve", _released_twice)],
    "replacement_counts_twice": [(evolve, "target_hold", _counted_twice)],
    "replacement_inherits_nothing": [applier(e.OrderAccepted, _nothing_inherited)],
    "fill_applied_twice": [(reports, "trade_key", _any_key), (evolve, "trade_key", _any_key)],
    "late_fill_dropped": [handler(c.VenueFill, changed(_late_dropped))],
    "overfill_hidden": [handler(c.VenueFill, changed(_overfill_hidden))],
    "overfill_does_not_halt": [handler(c.VenueFill, changed(_not_halted))],
    "fee_ignored": [handler(c.VenueFill, changed(_fee_ignored))],
    "mismatched_fill_applied": [handler(c.VenueFill, _mismatch_applied)],
    "wrong_sign_when_short": [(evolve, "average_fill", _wrong_sign_when_short)],
    "cost_rounded_down": [(reports, "fill_cost", _rounded_down)],
    "repetition_makes_a_second_order": [(oms, "order_id", _new_order_each_time)],
    "reused_id_unseen": [(oms, "_repeated", _reuse_unseen)],
    "digests_forgotten_on_retirement": [applier(e.OrdersRetired, _digests_forgotten)],
    "kill_ignored_for_strategies": [rules("kill_switch", _kill_but_strategies)],
    "cancel_refused_under_kill": [handler(c.CancelOrder, _no_cancel_under_kill)],
    "anybody_revives": [handler(c.Revive, _anybody_revives)],
    "modes_ignored": [rules("trading_mode")],
    "stale_price_accepted": [(Limits, "__init__", _stale_for_long)],
    "collar_off_by_a_tick": [rules("price_collar", _collar_with_a_tick)],
    "position_without_open_orders": [rules("max_position", _position_without_open_orders)],
    "short_without_open_orders": [rules("short_sale", _short_without_open_orders)],
    "self_trade_ignored": [rules("self_trade")],
    "screen_forgets_own_orders": [(gate, "hold_price_if_safe", _screen_forgets_orders)],
    "repeats_ignored": [rules("repeated_order")],
    "message_budget_never_drains": [(Exposure, "spend", _never_drains)],
    "open_on_failure": [(gate, "check", _open_on_failure)],
    "unknown_is_rejected": [handler(c.VenueUnknown, changed(_unknown_is_rejected))],
    "doubt_ends_a_pending_replacement": [
        handler(report, changed(_replaced_doubt))
        for report in (c.VenueState, c.VenueAccepted, c.VenueReplaced, c.VenueRejected)
    ],
    "timer_expires_the_wrong_order": [(expiry, "due", _wrong_order_due)],
    "expiry_forgotten": [(expiry, "due", _expiry_forgotten)],
    "cause_not_stored": [(journal, "note_cause", _no_cause)],
    "hash_without_events": [(journal, "_seal", _events_not_hashed)],
    "snapshot_without_trades": [(snapshot, "_restore_order", _without_trades)],
    "snapshot_without_strangers": [(snapshot, "_account_row", _without("aside", []))],
    "snapshot_without_deposits": [(snapshot, "_account_row", _without("deposits", []))],
    "snapshot_without_moves": [applier(e.OrderMoved, _moves_not_saved)],
    "kill_forgotten_in_recovery": [(snapshot, "_restore_partition", _kill_not_restored)],
    "new_orders_sent_again": [(Outbox, "pending", _sent_again)],
    "conflict_untold": [handler(c.VenueFill, _told("FILL_CONFLICT"))],
    "late_fill_untold": [handler(c.VenueFill, _told("LATE_FILL"))],
    "overfill_untold": [handler(c.VenueFill, _told("OVERFILL"))],
    "stranger_not_kept_aside": [handler(c.VenueFill, changed(_not_kept_aside))],
    "working_order_doubted": [
        (transitions.ALLOWED, "", {"new": transitions.ALLOWED["new"] | {"unknown"}}),
        handler(c.VenueUnknown, changed(_doubt_of_a_working_order)),
    ],
    "held_shown_as_new": [applier(e.OrderMoved, _held_shown_as_new)],
    "version_starts_again": [applier(e.OrderMoved, _version_again)],
    "open_orders_never_fewer": [applier(e.OrderMoved, _never_fewer)],
    "fee_not_paid": [applier(e.OrderFilled, _fee_not_paid)],
    "cost_left_behind": [(evolve, "average_fill", _cost_left_behind)],
    "mode_of_a_strategy_forgotten": [applier(e.ModeChanged, _mode_forgotten)],
    "retired_order_unknown": [applier(e.OrdersRetired, _retired_unknown)],
    "another_quantity_is_the_same_body": [(idempotency, "_digest", _any_qty)],
    "known_order_refused_after_its_time": [handler(c.SubmitOrder, _known_is_past)],
    "market_orders_not_our_own": [(evolve, "_resting_price", lambda intent: intent.limit_price)],
    "refusal_in_prose": [handler(c.CancelOrder, changed(_prose))],
    "limits_without_versions": [handler(c.SetLimits, changed(_first_version))],
    "request_id_counts": [(oms, "request_id", _counted_request)],
    "tampering_unseen": [(journal, "hash_of", lambda payload: payload[-66:-2].decode())],
    "one_more_sent": [(Outbox, "_ask", _one_more)],
    "missing_fills_unseen": [(reconcile, "_missing_fills", _fills_not_compared)],
    "differences_without_a_name": [(reconcile, "digest", _counted_digest)],
    "paper_forgets_what_it_said": [(book.PaperOrder, "leaves", property(_said_is_forgotten))],
    "buying_power_ignored": [rules("buying_power")],
    "concentration_ignored": [rules("concentration")],
    "var_without_open_orders": [(Holding, "var_cents", property(_held_alone))],
    "historical_var_ignored": [rules("var_historical")],
    "parametric_var_ignored": [rules("var_parametric")],
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Have a defect in the core until the end of the block."""
    with ExitStack() as stack:
        for target, attribute, value in DEFECTS[name]:
            if isinstance(target, dict):
                before = {key: target[key] for key in value}
                stack.callback(target.update, before)
                target.update(value)
            else:
                stack.callback(setattr, target, attribute, getattr(target, attribute))
                setattr(target, attribute, value)
        yield
