"""A state of one's own from a state that somebody else goes on with: much faster than to restore it once more."""

from collections.abc import Mapping
from copy import copy

from trading.orders.state import Account, OrderRow, State
from trading.risk.exposure import Exposure


def copy_of(state: State) -> State:
    """Return a state that is equal and shares nothing that changes."""
    made = State()
    made.orders = orders = {order: copy(row) for order, row in state.orders.items()}
    for row in orders.values():
        if row.trades is not None:
            row.trades = row.trades.copy()
    made.accounts = {id_: _account(account, orders) for id_, account in state.accounts.items()}
    made.controls = copy(state.controls)
    made.controls.modes = state.controls.modes.copy()
    made.seq, made.hash, made.generation = state.seq, state.hash, state.generation
    made.partition_seq, made.causes = state.partition_seq, state.causes.copy()
    made.deadlines, made.waiting, made.dirty = state.deadlines.copy(), state.waiting.copy(), state.dirty.copy()
    return made


def _account(account: Account, orders: Mapping[str, OrderRow]) -> Account:
    made = copy(account)
    made.exposure = _exposure(account.exposure)
    made.open = {order: orders[order] for order in account.open}
    made.ended, made.trades = account.ended.copy(), account.trades.copy()
    made.aside, made.deposits = account.aside.copy(), account.deposits.copy()
    made.known = {group: known.copy() for group, known in account.known.items()}
    made.arrived = account.arrived.copy()
    return made


def _exposure(exposure: Exposure) -> Exposure:
    """Return one that is valued anew before the next check, as after a restart."""
    made = Exposure(exposure.currency)
    made.cash, made.open_orders, made.tat_ns = exposure.cash, exposure.open_orders, exposure.tat_ns
    made.recent = {signature: times.copy() for signature, times in exposure.recent.items()}
    made.recent_order = exposure.recent_order.copy()
    for name, holding in exposure.holdings.items():
        own = made.holdings[name] = copy(holding)
        own.resting_buys, own.resting_sells = holding.resting_buys.copy(), holding.resting_sells.copy()
        own.quote = None
        own.value = own.gross = own.spread = 0
    return made
