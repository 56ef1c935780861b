"""Cancels: always let through, by the kill switch too; never sent while it is unknown whether there is an order."""

from trading.commands import CancelAll, CancelOrder
from trading.events import AnyEvent, CommandRefused, OrderMoved
from trading.orders.idempotency import request_id
from trading.orders.state import OrderRow, State
from trading.risk.market import MarketView

CANCEL_WANTED = "CANCEL_WANTED:"


def cancel(state: State, command: CancelOrder, _market: MarketView) -> list[AnyEvent]:
    """Ask for the cancellation of one order."""
    row = state.orders.get(command.order)
    if row is None or row.intent.account != command.account:
        return [_no(command, "cancel", "ORDER_UNKNOWN", "there is no such order", command.order)]
    if row.ended:
        return [_no(command, "cancel", "ORDER_NOT_CANCELABLE", f"the order is {row.status}", command.order)]
    move = request_cancel(row, command.ts_ns, "CLIENT")
    return [] if move is None else [move]


def cancel_all(state: State, command: CancelAll, _market: MarketView) -> list[AnyEvent]:
    """Ask for the cancellation of each open order that matches, in the order of their acceptance."""
    account = state.accounts.get(command.account)
    if account is None:
        return [_no(command, "cancel_all", "ACCOUNT_UNKNOWN", f"there is no account {command.account!r}", "")]
    moves: list[AnyEvent] = []
    for row in account.open.values():
        if command.instrument not in (None, row.intent.instrument):
            continue
        if command.strategy not in (None, row.intent.strategy):
            continue
        move = request_cancel(row, command.ts_ns, "CLIENT")
        if move is not None:
            moves.append(move)
    return moves


def request_cancel(row: OrderRow, ts_ns: int, reason: str) -> OrderMoved | None:
    """Return the event that asks the venue to cancel, or None if that is already asked.

    An order with an unknown outcome is not cancelled blindly: the wish is noted, and followed when the doubt is gone.
    """
    account = row.intent.account
    if row.status == "pending_cancel":
        return None
    if row.status == "unknown":
        if row.reason.startswith(CANCEL_WANTED):
            return None
        return OrderMoved(account, ts_ns, row.id, "unknown", CANCEL_WANTED + reason)
    return OrderMoved(account, ts_ns, row.id, "pending_cancel", reason, request_id(row.id, "cancel", row.cancels + 1))


def wanted_cancel(row: OrderRow, ts_ns: int) -> OrderMoved | None:
    """Return the cancel that was wished for while the outcome was unknown."""
    if not row.reason.startswith(CANCEL_WANTED):
        return None
    reason = row.reason.removeprefix(CANCEL_WANTED)
    request = request_id(row.id, "cancel", row.cancels + 1)
    return OrderMoved(row.intent.account, ts_ns, row.id, "pending_cancel", reason, request)


def _no(command: CancelOrder | CancelAll, name: str, code: str, message: str, target: str) -> CommandRefused:
    return CommandRefused(command.account, command.ts_ns, name, code, message, target)
