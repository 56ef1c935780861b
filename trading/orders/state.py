"""What the owner of a partition keeps: small rows of accounts and orders, controls, and the end of the journal.

Rows change only in `evolve`. What is marked derived is rebuilt from the rest and is in no snapshot and no hash.
"""

from bisect import insort
from collections.abc import Sequence

import msgspec

from trading.events import OrderAccepted, Status
from trading.orders.transitions import TERMINAL
from trading.risk.controls import Controls
from trading.risk.exposure import Exposure
from trading.risk.limits import Limits

RETIRE_AFTER_NS = 86_400 * 10**9
MAX_QUARANTINED = 10_000
# A row of digests is written again until it is full, and never after.
KNOWN_IN_ROW = 256


class OrderRow(msgspec.Struct, gc=False, omit_defaults=True):
    """One order: what was accepted, and what has become of it since."""

    intent: OrderAccepted
    n: int
    status: Status = "pending_new"
    filled: int = 0
    # What the replaced predecessor had filled: it counts against the quantity, and is no fill of this order.
    inherited: int = 0
    overfilled: int = 0
    cost: int = 0
    fee: int = 0
    held_qty: int = 0
    held_raw: int = 0
    version: int = 0
    cancels: int = 0
    updated_ts_ns: int = 0
    ended_ts_ns: int = 0
    venue_order_id: str = ""
    reason: str = ""
    replaced_by: str = ""
    at_venue_held: bool = False
    # (key, content) of each execution.
    trades: list[tuple[str, str]] | None = None

    @property
    def id(self) -> str:
        """Return our order id."""
        return self.intent.order

    @property
    def side(self) -> int:
        """Return 1 for a buy, -1 for a sell."""
        return 1 if self.intent.side == "buy" else -1

    @property
    def leaves(self) -> int:
        """Return the quantity that may still be filled."""
        left = self.intent.qty - self.inherited - self.filled
        return left if left > 0 else 0

    @property
    def ended(self) -> bool:
        """Say whether the order is in a terminal state."""
        return self.status in TERMINAL

    @property
    def working_status(self) -> Status:
        """Return the status of this order when nothing is pending on it."""
        if self.filled:
            return "partially_filled"
        return "held" if self.at_venue_held else "new"


class Account:
    """One account: its exposure, its limits, its open orders, and what makes its commands and fills idempotent."""

    __slots__ = (
        "arrived",
        "aside",
        "deposits",
        "ended",
        "exposure",
        "id",
        "known",
        "limits",
        "open",
        "opened_ts_ns",
        "orders_seen",
        "quarantined",
        "seq",
        "trades",
    )

    def __init__(self, id_: str, currency: str, opened_ts_ns: int) -> None:
        self.id = id_
        self.opened_ts_ns = opened_ts_ns
        self.exposure = Exposure(currency)
        self.limits: Limits | None = None
        self.seq = 0
        self.orders_seen = 0
        self.open: dict[str, OrderRow] = {}
        # Derived: (when, order) of each order that ended, in order, and the executions of the orders in the state:
        # (venue, trade id) -> content.
        self.ended: list[tuple[int, str]] = []
        self.trades: dict[str, str] = {}
        # The same of executions that fit no order.
        self.aside: dict[str, str] = {}
        self.quarantined = 0
        self.deposits: dict[str, int] = {}
        # Orders that are gone and orders that were refused, for ever, in 256 groups by the first two digits of the id:
        # order id -> digest of the body and outcome. `arrived` has their ids as they came.
        self.known: dict[str, dict[bytes, bytes]] = {}
        self.arrived: list[bytes] = []

    def execution(self, key: str) -> str | None:
        """Return the content of an execution that came before."""
        return self.trades.get(key) or self.aside.get(key)

    def end(self, row: OrderRow) -> None:
        """Note that an order has ended."""
        ended, one = self.ended, (row.ended_ts_ns, row.intent.order)
        # Orders end in the order of time, nearly always: a search among many would cost more than the rest.
        if not ended or ended[-1] <= one:
            ended.append(one)
        else:
            insort(ended, one)

    def recall(self, order: str) -> bytes | None:
        """Return what is remembered of an order that is not in the state."""
        group = self.known.get(order[:2])
        return None if group is None else group.get(bytes.fromhex(order))

    def remember(self, order: str, what: bytes) -> str:
        """Keep the digest of an order for ever; return the key of the snapshot row that it goes to."""
        id_, group = bytes.fromhex(order), self.known.setdefault(order[:2], {})
        assert id_ not in group, "an order is remembered once"
        group[id_] = what
        self.arrived.append(id_)
        return known_key(self.id, (len(self.arrived) - 1) // KNOWN_IN_ROW)

    def learn(self, row: Sequence[tuple[str, str]]) -> None:
        """Take back one snapshot row of digests: order and what was kept of it, in hex."""
        known, decoded = self.known, bytes.fromhex
        ids = [decoded(order) for order, _ in row]
        for (order, what), id_ in zip(row, ids, strict=True):
            group = known.get(order[:2])
            if group is None:
                group = known[order[:2]] = {}
            assert id_ not in group, "an order is remembered once"
            group[id_] = decoded(what)
        self.arrived += ids


def known_key(account: str, number: int) -> str:
    """Return what names a row of digests among what has changed."""
    return f"{account}\x1f{number:08d}"


class State:
    """One partition. The owner is its only writer."""

    __slots__ = (
        "accounts",
        "causes",
        "controls",
        "deadlines",
        "dirty",
        "generation",
        "hash",
        "orders",
        "partition_seq",
        "seq",
        "waiting",
    )

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.orders: dict[str, OrderRow] = {}
        self.controls = Controls()
        self.seq = 0
        self.hash = ""
        self.generation = 0
        self.partition_seq = 0
        # High-water offset of each input, `topic:partition`: a cause at or below it has been worked.
        self.causes: dict[str, int] = {}
        # Derived: (when, order) in a heap, and since when an order waits for its venue.
        self.deadlines: list[tuple[int, str]] = []
        self.waiting: dict[str, int] = {}
        # Snapshot rows that have changed since they were last written.
        self.dirty: set[str] = set()

    def account_of(self, row: OrderRow) -> Account:
        """Return the account of an order."""
        return self.accounts[row.intent.account]
