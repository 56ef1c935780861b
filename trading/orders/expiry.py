"""What time alone brings: expiry, venues that do not answer, and the leaving of orders that ended a day ago."""

from trading.commands import Timer
from trading.events import AnyEvent, OrderMoved, OrdersRetired
from trading.orders.cancels import CANCEL_WANTED, request_cancel
from trading.orders.state import RETIRE_AFTER_NS, OrderRow, State
from trading.risk.market import MarketView

EXPIRED = "EXPIRED"
ACK_TIMEOUT = "ACK_TIMEOUT"


def timer(state: State, command: Timer, _market: MarketView) -> list[AnyEvent]:
    """Return what is due at this time; most of the time nothing."""
    events: list[AnyEvent] = []
    now_ns = command.ts_ns
    for _, order in due(state.deadlines, now_ns):
        row = state.orders.get(order)
        if row is None or row.ended:
            continue
        move = request_cancel(row, now_ns, EXPIRED)
        if move is not None:
            events.append(move)
    expiring = {event.order for event in events if isinstance(event, OrderMoved)}
    for since_ns, order in _unanswered(state, now_ns):
        row = state.orders[order]
        limits = state.account_of(row).limits
        assert limits is not None, "an order has limits"
        if since_ns + limits.ack_timeout_ns <= now_ns and order not in expiring:
            events.append(OrderMoved(row.intent.account, now_ns, order, "unknown", doubt(row)))
    until_ns = now_ns - RETIRE_AFTER_NS
    events.extend(
        OrdersRetired(account.id, now_ns, until_ns)
        for _, account in sorted(state.accounts.items())
        if account.ended and account.ended[0][0] <= until_ns
    )
    return events


def _unanswered(state: State, now_ns: int) -> list[tuple[int, str]]:
    """Return the orders that wait for longer than the most impatient account would, oldest first."""
    if not state.waiting:
        return []
    patience_ns = min(account.limits.ack_timeout_ns for account in state.accounts.values() if account.limits)
    until_ns = now_ns - patience_ns
    return sorted((since_ns, order) for order, since_ns in state.waiting.items() if since_ns <= until_ns)


def doubt(row: OrderRow) -> str:
    """Return why an order becomes unknown; a cancel that was asked for is not forgotten."""
    return CANCEL_WANTED + row.reason if row.status == "pending_cancel" else ACK_TIMEOUT


def due(heap: list[tuple[int, str]], now_ns: int) -> list[tuple[int, str]]:
    """Return the entries of a heap at or before now, in order, without taking them out."""
    found: list[tuple[int, str]] = []
    places = [0]
    while places:
        place = places.pop()
        if place < len(heap) and heap[place][0] <= now_ns:
            found.append(heap[place])
            places += (2 * place + 1, 2 * place + 2)
    found.sort()
    return found
