"""Ours against the venue's: what differs, each with an id that is a pure function of it, and the report that mends it.

Both sides are read whole, and the union is compared. The fixes are ordinary venue reports, so they pass the same
`decide`; after one pass nothing is left to fix, in whatever order the venue lists things.
"""

from typing import Literal

import msgspec

from trading.amounts import AmountError, parse_exact
from trading.commands import VenueCanceled, VenueExpired, VenueFill, VenueReport, VenueState
from trading.ids import digest
from trading.orders.idempotency import trade_key
from trading.orders.state import Account, OrderRow, State
from trading.orders.transitions import WORKING

ENDS: frozenset[str] = frozenset({"canceled", "expired", "rejected"})
# An order that was sent a moment ago need not be in the venue's list yet.
GRACE_NS = 10 * 10**9


class VenueOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An order as the venue has it; `order` is our id. Amounts are in the instrument's scale."""

    order: str
    instrument: str
    status: Literal["new", "held", "filled", "canceled", "expired", "rejected"]
    filled_qty: int = 0
    venue_order_id: str = ""


class VenueView(msgspec.Struct, frozen=True, kw_only=True):
    """All that a venue says of one account: orders, executions, and positions in the instrument's scale.

    `positions` is None if the venue does not tell them. `on_their_way` are orders that it cannot tell of yet.
    """

    venue: str
    orders: tuple[VenueOrder, ...] = ()
    fills: tuple[VenueFill, ...] = ()
    positions: dict[str, int] | None = None
    on_their_way: frozenset[str] = frozenset()


class Difference(msgspec.Struct, frozen=True, gc=False):
    """One difference. Without a `fix` a person must look; the same difference has the same id each time."""

    id: str
    account: str
    code: str
    about: str
    message: str
    fix: VenueReport | None = None


def reconcile(state: State, account_id: str, view: VenueView, ts_ns: int) -> list[Difference]:
    """Return what differs between an account here and at its venue, executions first."""
    account = state.accounts[account_id]
    missing = _missing_fills(state, account, view)
    found = [difference for _, difference in missing]
    coming: dict[str, int] = {}
    moves: dict[str, int] = {}
    for row, difference in missing:
        if row is not None and isinstance(difference.fix, VenueFill):
            qty = _qty(difference.fix, row)
            coming[row.id] = coming.get(row.id, 0) + qty
            moves[row.intent.instrument] = moves.get(row.intent.instrument, 0) + row.side * qty
    theirs = {order.order: order for order in view.orders}
    for id_ in sorted((theirs.keys() | account.open.keys()) - view.on_their_way):
        found += _order_differences(state, account, view.venue, id_, theirs.get(id_), coming.get(id_, 0), ts_ns)
    found += _position_differences(account, view, moves)
    return found


def _missing_fills(state: State, account: Account, view: VenueView) -> list[tuple[OrderRow | None, Difference]]:
    missing: list[tuple[OrderRow | None, Difference]] = []
    seen: set[str] = set()
    for fill in sorted(view.fills, key=lambda fill: (fill.ts_ns, fill.trade_id)):
        key = trade_key(fill.venue, fill.trade_id)
        if account.execution(key) is not None or key in seen:
            continue
        seen.add(key)
        row = state.orders.get(fill.order)
        fits = row is not None and (row.intent.instrument, row.intent.side) == (fill.instrument, fill.side)
        code = "FILL_MISSING" if fits else "FILL_UNKNOWN"
        difference = _difference(code, account.id, key, "the venue has an execution that is not here", fill)
        missing.append((row if fits else None, difference))
    return missing


def _order_differences(
    state: State, account: Account, venue: str, id_: str, theirs: VenueOrder | None, coming: int, ts_ns: int
) -> list[Difference]:
    row = state.orders.get(id_)
    if row is None:
        assert theirs is not None, "an order is on one side at least"
        if theirs.status in ENDS or theirs.status == "filled":
            return []
        return [_difference("ORDER_EXTERNAL", account.id, id_, "an order at the venue that is not ours")]
    if theirs is None:
        return _absent(account, venue, row, coming, ts_ns)
    if theirs.filled_qty > row.filled + row.overfilled + coming:
        what = f"{id_}/{theirs.filled_qty}"
        return [_difference("FILLS_NOT_LISTED", account.id, what, "the venue filled more than it lists")]
    if row.ended:
        if theirs.status in ("new", "held"):
            return [_difference("ORDER_STILL_WORKS", account.id, id_, f"it is {row.status} here and works there")]
        return []
    if row.leaves <= coming:
        return []
    if theirs.status in ENDS:
        fix = _end(account.id, venue, row, theirs, coming, ts_ns)
        return [_difference("ORDER_ENDED", account.id, id_, f"the venue says {theirs.status}", fix)]
    if row.status in ("pending_new", "unknown"):
        fix = VenueState(
            account=account.id,
            ts_ns=ts_ns,
            order=id_,
            venue=venue,
            found=True,
            status="held" if theirs.status == "held" else "new",
            venue_order_id=theirs.venue_order_id,
        )
        return [_difference("ORDER_WORKS", account.id, id_, f"it is {row.status} here and works there", fix)]
    return []


def _end(account: str, venue: str, row: OrderRow, theirs: VenueOrder, coming: int, ts_ns: int) -> VenueReport:
    if theirs.status == "expired":
        return VenueExpired(account=account, ts_ns=ts_ns, order=row.id, venue=venue)
    if theirs.status == "rejected" and not row.filled and not coming and row.status not in WORKING:
        return VenueState(account=account, ts_ns=ts_ns, order=row.id, venue=venue, found=True, status="rejected")
    return VenueCanceled(account=account, ts_ns=ts_ns, order=row.id, venue=venue, reason="RECONCILED")


def _absent(account: Account, venue: str, row: OrderRow, coming: int, ts_ns: int) -> list[Difference]:
    if row.updated_ts_ns + GRACE_NS > ts_ns or row.leaves <= coming:
        return []
    fix: VenueReport
    if row.status in ("pending_new", "unknown") and not row.venue_order_id and not row.filled + coming:
        fix = VenueState(account=account.id, ts_ns=ts_ns, order=row.id, venue=venue, found=False)
        return [_difference("ORDER_NEVER_ARRIVED", account.id, row.id, "the venue does not have it", fix)]
    fix = VenueCanceled(account=account.id, ts_ns=ts_ns, order=row.id, venue=venue, reason="RECONCILED")
    return [_difference("ORDER_GONE", account.id, row.id, "the venue no longer has it", fix)]


def _position_differences(account: Account, view: VenueView, moves: dict[str, int]) -> list[Difference]:
    found: list[Difference] = []
    positions, holdings = view.positions, account.exposure.holdings
    if positions is None:
        return found
    for name in sorted(positions.keys() | holdings.keys()):
        ours = (holdings[name].qty if name in holdings else 0) + moves.get(name, 0)
        theirs = positions.get(name, 0)
        if ours != theirs:
            what = f"{name}/{ours}/{theirs}"
            found.append(_difference("POSITION_DIFFERS", account.id, what, f"{ours} here, {theirs} at the venue"))
    return found


def _qty(fill: VenueFill, row: OrderRow) -> int:
    try:
        return parse_exact(fill.qty, row.intent.qty_scale)
    except AmountError:
        # `decide` will keep such an execution aside.
        return 0


def _difference(code: str, account: str, about: str, message: str, fix: VenueReport | None = None) -> Difference:
    return Difference(digest("reconcile", code, account, about), account, code, about, message, fix)
