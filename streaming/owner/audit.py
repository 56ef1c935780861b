"""The conservation audit: what the events since the take-over add up to, against what the state says.

Intents = open + ended orders, fills = position, cash moved - costs - fees = cash, reserved exposure = the sum over open
orders, and no order is filled beyond its quantity. Kept apart from the code that it checks, `trading.orders.evolve`.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable

from streaming.pace import head_start, rest_s
from trading.events import AnyEvent, CashMoved, OrderAccepted, OrderFilled, OrderMoved
from trading.orders.state import Account, OrderRow, State
from trading.orders.transitions import TERMINAL

AUDIT_S = 60.0
# Of the time, at most: orders are decided meanwhile.
SHARE = 0.1


class _Sums:
    """The books of one account, kept by events alone."""

    def __init__(self) -> None:
        self.cash = 0
        self.position: defaultdict[str, int] = defaultdict(int)
        self.intents = 0
        self.open: set[str] = set()


class Tally:
    """Starts from a state, hears every event that is decided after it, and compares when asked."""

    def __init__(self, state: State) -> None:
        self._sums: defaultdict[str, _Sums] = defaultdict(_Sums)
        for account in state.accounts.values():
            sums = self._sums[account.id]
            sums.cash = account.exposure.cash
            sums.intents = account.orders_seen
            sums.open = set(account.open)
            for name, holding in account.exposure.holdings.items():
                sums.position[name] = holding.qty

    def hear(self, events: Iterable[AnyEvent]) -> None:
        """Add up events, in their order."""
        for event in events:
            if isinstance(event, OrderAccepted):
                sums = self._sums[event.account]
                sums.intents += 1
                sums.open.add(event.order)
            elif isinstance(event, OrderMoved):
                if event.to in TERMINAL:
                    self._sums[event.account].open.discard(event.order)
            elif isinstance(event, OrderFilled):
                sums = self._sums[event.account]
                sums.cash -= event.cost + event.fee
                sums.position[event.instrument] += event.qty if event.side == "buy" else -event.qty
                if event.to in TERMINAL:
                    sums.open.discard(event.order)
            elif isinstance(event, CashMoved):
                self._sums[event.account].cash += event.amount

    async def differences(self, state: State) -> list[str]:
        """Return what does not add up; each account is looked at in one moment, others may go on in between."""
        found: list[str] = []
        for name in list(state.accounts):
            account, started_s = state.accounts[name], time.perf_counter()
            found += self._account(account)
            found += _reserved(state, account)
            await asyncio.sleep(rest_s(time.perf_counter() - started_s, SHARE))
        return found

    def _account(self, account: Account) -> list[str]:
        sums, name = self._sums[account.id], account.id
        positions = {i: holding.qty for i, holding in account.exposure.holdings.items() if holding.qty}
        expected = {i: qty for i, qty in sums.position.items() if qty}
        pairs = (
            ("CASH", sums.cash, account.exposure.cash),
            ("POSITION", expected, positions),
            ("INTENTS", sums.intents, account.orders_seen),
            ("OPEN", sums.open, set(account.open)),
            ("OPEN_COUNT", len(sums.open), account.exposure.open_orders),
        )
        return [f"{code} {name}: events {told}, state {kept}" for code, told, kept in pairs if told != kept]


def audit_from(partition: int, now_s: float) -> float:
    """Return since when the first audit of a partition is awaited: apart from others and from looks at the venue."""
    return now_s - AUDIT_S * head_start(partition, 0.5)


def _reserved(state: State, account: Account) -> list[str]:
    found: list[str] = []
    held: defaultdict[tuple[str, int], int] = defaultdict(int)
    for row in account.open.values():
        held[row.intent.instrument, row.side] += row.held_qty
        found += _order(state, row)
    for name, holding in account.exposure.holdings.items():
        for side, kept in ((1, holding.buy_open), (-1, holding.sell_open)):
            if held[name, side] != kept:
                found.append(f"RESERVED {account.id} {name}: orders {held[name, side]}, holding {kept}")
    return found


def _order(state: State, row: OrderRow) -> list[str]:
    found = []
    if row.filled + row.inherited > row.intent.qty:
        found.append(f"OVERFILLED {row.id}: {row.filled} + {row.inherited} of {row.intent.qty}")
    parent = state.orders.get(row.intent.replaces) if row.intent.replaces else None
    if parent is not None and not parent.ended and row.inherited != parent.filled + parent.inherited:
        found.append(f"CHILD {row.id}: inherits {row.inherited}, parent has {parent.filled} + {parent.inherited}")
    return found
