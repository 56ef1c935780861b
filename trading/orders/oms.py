"""Decide: what follows from a command. It changes nothing; the events say everything, and `evolve` applies them.

A submission or replacement that is a repetition gives no event (the order is in the state, or was and is gone) or the
remembered refusal marked `repeat`, which is an answer only and is not journalled.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from trading import commands as c
from trading.events import AnyEvent, CommandRefused, ModeChanged, OrderAccepted, OrderMoved, OrderRefused
from trading.orders import administer, cancels, expiry, reports
from trading.orders.drafts import Malformed, draft_of_replace, draft_of_submit, expiry_of, too_late
from trading.orders.idempotency import TRANSIENT, draft_digest, intent_digest, order_id, recall, request_id
from trading.orders.state import Account, State
from trading.orders.transitions import WORKING
from trading.risk import gate
from trading.risk.context import Draft
from trading.risk.gate import Approved, Refused
from trading.risk.market import MarketView

Events = list[AnyEvent]


def decide(state: State, command: c.AnyCommand, market: MarketView) -> Events:
    """Return the events that follow from a command, in order. The state is as before."""
    return _DECIDE[type(command)](state, command, market)


def _submit(state: State, command: c.SubmitOrder, market: MarketView) -> Events:
    order = order_id(command.account, command.client_order_id)
    draft = draft_of_submit(command, market)
    if isinstance(draft, Malformed):
        return [_refuse(command, order, draft.code, draft.message)]
    account = state.accounts.get(command.account)
    if account is None:
        return [_refuse(command, order, "ACCOUNT_UNKNOWN", f"there is no account {command.account!r}")]
    if _is_known(state, account, order):
        return _repeated(state, account, order, command, draft_digest(draft, command.expire_ts_ns, ""))
    late = too_late(draft, command.expire_ts_ns)
    if late is not None:
        return [_refuse(command, order, late.code, late.message)]
    verdict = gate.check(draft, account.exposure, account.limits, state.controls, market)
    return _decided(state, order, command, draft, verdict, market, command.expire_ts_ns, "")


def _replace(state: State, command: c.ReplaceOrder, market: MarketView) -> Events:
    account = state.accounts.get(command.account)
    row = state.orders.get(command.order)
    if account is None or row is None or row.intent.account != command.account:
        return [_not_replaced(command, "ORDER_UNKNOWN", "there is no such order")]
    draft = draft_of_replace(command, row, market)
    if isinstance(draft, Malformed):
        return [_not_replaced(command, draft.code, draft.message)]
    order = order_id(command.account, command.client_order_id)
    asked = row.intent.asked_expire_ts_ns if draft.tif == "gtd" else None
    if _is_known(state, account, order):
        return _repeated(state, account, order, command, draft_digest(draft, asked, command.order))
    late = too_late(draft, asked)
    if late is not None:
        return [_not_replaced(command, late.code, late.message)]
    if row.status not in WORKING:
        return [_not_replaced(command, "ORDER_NOT_REPLACEABLE", f"the order is {row.status}")]
    if draft.qty <= row.filled + row.inherited:
        return [_not_replaced(command, "QTY_ALREADY_FILLED", "the new quantity must be above what is filled")]
    # Only what is still to be traded is checked and held; what was filled is position already.
    done = row.filled + row.inherited
    left = msgspec.structs.replace(draft, qty=draft.qty - done, done=done)
    verdict = gate.check(left, account.exposure, account.limits, state.controls, market)
    decided = _decided(state, order, command, draft, verdict, market, asked, command.order)
    if isinstance(decided[0], OrderAccepted):
        return [OrderMoved(command.account, command.ts_ns, command.order, "pending_replace"), *decided]
    return decided


def _decided(
    state: State,
    order: str,
    command: c.SubmitOrder | c.ReplaceOrder,
    draft: Draft,
    verdict: Approved | Refused,
    market: MarketView,
    asked_ns: int | None,
    replaces: str,
) -> Events:
    if isinstance(verdict, Refused):
        return _refused(state, order, command, draft, verdict, draft_digest(draft, asked_ns, replaces))
    instrument, limits = verdict.instrument, state.accounts[command.account].limits
    assert limits is not None, "nothing is approved without limits"
    end = expiry_of(draft, asked_ns, instrument.calendar, limits.order_timeout_ns, market)
    if isinstance(end, Malformed):
        return [_refuse(command, order, end.code, end.message)]
    accepted = OrderAccepted(
        command.account,
        command.ts_ns,
        order,
        command.client_order_id,
        draft.instrument,
        "buy" if draft.side > 0 else "sell",
        draft.type,
        draft.tif,
        draft.qty,
        verdict.hold_price,
        request_id(order, "replace" if replaces else "new"),
        verdict.inputs,
        instrument.price_scale,
        instrument.qty_scale,
        draft.limit_price,
        draft.stop_price,
        end,
        draft.strategy,
        replaces,
        asked_ns,
    )
    return [accepted]


def _refused(
    state: State,
    order: str,
    command: c.SubmitOrder | c.ReplaceOrder,
    draft: Draft,
    verdict: Refused,
    body: str,
) -> Events:
    codes = [breach.code for breach in verdict.breaches]
    first, limits = verdict.breaches[0], state.accounts[command.account].limits
    refusal = OrderRefused(
        command.account,
        command.ts_ns,
        order,
        command.client_order_id,
        first.code,
        first.message,
        verdict.breaches,
        verdict.largest,
        "" if TRANSIENT.intersection(codes) else body,
        asked=command,
        limits_version=0 if limits is None else limits.version,
    )
    if "REPEATED_ORDER" not in codes or not draft.strategy:
        return [refusal]
    old = state.controls.mode_of("strategy", command.account, draft.strategy)
    if old == "halted":
        return [refusal]
    stop = ModeChanged(
        command.account, command.ts_ns, "strategy", draft.strategy, old, "halted", "risk", "REPEATED_ORDER"
    )
    return [refusal, stop]


def _is_known(state: State, account: Account, order: str) -> bool:
    return order in state.orders or account.recall(order) is not None


def _repeated(state: State, account: Account, order: str, command: c.SubmitOrder | c.ReplaceOrder, body: str) -> Events:
    row = state.orders.get(order)
    if row is not None:
        before, outcome = intent_digest(row.intent), "gone"
    else:
        known = account.recall(order)
        assert known is not None, "a repetition is known"
        before, outcome = recall(known)
    if before != body:
        return [_refuse(command, order, "ID_REUSED", "this client order id was used for another order")]
    if outcome == "gone":
        return []
    return [_refuse(command, order, outcome, "refused before, under this client order id", repeat=True)]


def _refuse(
    command: c.SubmitOrder | c.ReplaceOrder, order: str, code: str, message: str, *, repeat: bool = False
) -> OrderRefused:
    return OrderRefused(
        command.account,
        command.ts_ns,
        order,
        command.client_order_id,
        code,
        message,
        repeat=repeat,
        asked=None if repeat else command,
    )


def _not_replaced(command: c.ReplaceOrder, code: str, message: str) -> CommandRefused:
    return CommandRefused(command.account, command.ts_ns, "replace", code, message, command.order)


_DECIDE: dict[type, Callable[[State, Any, MarketView], Events]] = {
    c.SubmitOrder: _submit,
    c.ReplaceOrder: _replace,
    c.CancelOrder: cancels.cancel,
    c.CancelAll: cancels.cancel_all,
    c.VenueAccepted: reports.accepted,
    c.VenueRejected: reports.rejected,
    c.VenueFill: reports.filled,
    c.VenueCanceled: reports.canceled,
    c.VenueExpired: reports.expired,
    c.VenueReplaced: reports.replaced,
    c.VenueUnknown: reports.unknown,
    c.VenueState: reports.resolved,
    c.OpenAccount: administer.open_account,
    c.Deposit: administer.deposit,
    c.SetLimits: administer.set_limits,
    c.SetMode: administer.set_mode,
    c.Kill: administer.kill,
    c.Revive: administer.revive,
    c.Timer: expiry.timer,
}
