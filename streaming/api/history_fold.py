"""How journal records become rows of the read model. One call is one transaction: a crash loses or doubles nothing."""

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from streaming.pace import breathe
from trading.events import (
    AnyEvent,
    CashMoved,
    CommandRefused,
    KillChanged,
    LimitsChanged,
    OrderAccepted,
    OrderFilled,
    OrderMoved,
)
from trading.ids import digest
from trading.orders.journal import Record
from trading.orders.state import OrderRow
from trading.orders.transitions import TERMINAL

MINUTE_NS = 60 * 10**9
MAX_OPEN_ROWS = 200_000
# Folded in one go, in a thread beside the event loop.
BREATH_RECORDS = 50
SCHEMA = """
CREATE TABLE progress (partition INTEGER PRIMARY KEY, next_offset INTEGER, seq INTEGER, hash TEXT, generation INTEGER);
CREATE TABLE ids (id TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID;
CREATE TABLE orders (n INTEGER PRIMARY KEY, account TEXT, submitted_ns INTEGER, ended_ns INTEGER, instrument TEXT,
    side TEXT, row BLOB);
CREATE INDEX orders_by_time ON orders (account, submitted_ns, n);
CREATE TABLE steps (n INTEGER, partition INTEGER, offset INTEGER, account TEXT,
    PRIMARY KEY (n, partition, offset)) WITHOUT ROWID;
CREATE TABLE limits (account TEXT, version INTEGER, ts_ns INTEGER, actor TEXT, reason TEXT, body BLOB,
    PRIMARY KEY (account, version)) WITHOUT ROWID;
CREATE TABLE equity (account TEXT, minute INTEGER, ts_ns INTEGER, equity TEXT,
    PRIMARY KEY (account, minute)) WITHOUT ROWID;
CREATE TABLE flows (account TEXT, ts_ns INTEGER, amount TEXT);
CREATE INDEX flows_by_time ON flows (account, ts_ns);
CREATE TABLE fills (n INTEGER PRIMARY KEY, account TEXT, ts_ns INTEGER, id TEXT, row BLOB);
CREATE INDEX fills_by_time ON fills (account, ts_ns, n);
CREATE INDEX fills_by_id ON fills (id);
CREATE TABLE kills (partition INTEGER PRIMARY KEY, pulled INTEGER, actor TEXT)
"""
TABLES = ("progress", "ids", "orders", "steps", "limits", "equity", "flows", "fills", "kills")
# One statement for all rows: each statement lets other threads run, and comes back only when the event loop rests.
_LAST_NUMBER = "SELECT COALESCE(MAX(n), 0) FROM (SELECT MAX(n) AS n FROM orders UNION SELECT MAX(n) FROM steps)"
_FIND_IDS = "SELECT id, n FROM ids WHERE id IN (SELECT value FROM json_each(?))"
_PUT_IDS = "INSERT INTO ids SELECT value ->> 0, value ->> 1 FROM json_each(?)"
_PUT_ORDERS = """
INSERT INTO orders SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
    CAST(value -> 6 AS BLOB) FROM json_each(?) WHERE true
    ON CONFLICT (n) DO UPDATE SET ended_ns = excluded.ended_ns, row = excluded.row
"""
_PUT_STEPS = """
INSERT OR REPLACE INTO steps SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)
"""
_PUT_EQUITY = """
INSERT OR REPLACE INTO equity SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)
"""
_PUT_FILLS = """
INSERT INTO fills (account, ts_ns, id, row) SELECT value ->> 0, value ->> 1, value ->> 2, CAST(value -> 3 AS BLOB)
    FROM json_each(?)
"""
_encoder = msgspec.json.Encoder()
_rows = msgspec.json.Decoder(OrderRow)


class Execution(msgspec.Struct, frozen=True, gc=False):
    """One execution beside its order as it was then. `filled` is what was done of the order, this included."""

    id: str
    fill: OrderFilled
    price_scale: int
    qty_scale: int
    filled: int
    leaves: int


class Progress(NamedTuple):
    """How far a partition is folded. `fits` is False when the journal does not continue what was folded."""

    next_offset: int = 0
    seq: int = 0
    hash: str = ""
    generation: int = -1
    fits: bool = True


class Fold:
    """Writes to one connection. Open orders stay in memory; an ended one is read back if something follows."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._open: dict[str, OrderRow] = {}
        self._changed: dict[str, OrderRow] = {}
        self._numbers: dict[str, int] = {}
        self._ids: dict[str, int] = {}
        self._steps: list[tuple[int, int, int, str]] = []
        self._equity: dict[tuple[str, int], tuple[str, int, int, str]] = {}
        self._fills: list[tuple[str, int, str, Execution]] = []
        self._progress = {row[0]: Progress(*row[1:]) for row in db.execute("SELECT * FROM progress")}
        self._n = int(db.execute(_LAST_NUMBER).fetchone()[0])

    def progress(self, partition: int) -> Progress:
        """Return how far a partition is."""
        return self._progress.get(partition, Progress())

    def take(self, partition: int, records: Sequence[tuple[int, Record]], stop: int, generation: int) -> None:
        """Fold records that begin where the partition is; what does not continue the chain marks it as unfit."""
        before = self.progress(partition)
        seq, chain = before.seq, before.hash
        self._look_up(records)
        for place, (offset, record) in enumerate(records, 1):
            if place % BREATH_RECORDS == 0:
                breathe()
            if seq and record.prev_hash != chain:
                self._progress[partition] = before._replace(fits=False)
                self._forget()
                return
            for event in record.events:
                self._event(event, partition, offset)
            seq, chain = record.seq, record.hash
        after = Progress(stop, seq, chain, generation)
        with self._db:
            for statement, rows in (
                (_PUT_IDS, list(self._ids.items())),
                (_PUT_ORDERS, [_line(row) for row in self._changed.values()]),
                (_PUT_STEPS, self._steps),
                (_PUT_EQUITY, list(self._equity.values())),
                (_PUT_FILLS, self._fills),
            ):
                self._db.execute(statement, (_encoder.encode(rows).decode(),))
            self._db.execute("INSERT OR REPLACE INTO progress VALUES (?,?,?,?,?)", (partition, *after[:4]))
        for order, row in self._changed.items():
            if row.ended:
                self._open.pop(order, None)
        self._clear()
        self._progress[partition] = after

    def _event(self, event: AnyEvent, partition: int, offset: int) -> None:
        if isinstance(event, OrderAccepted):
            self._accepted(event)
        elif isinstance(event, OrderMoved | OrderFilled):
            self._followed(event)
        elif isinstance(event, LimitsChanged):
            body = _encoder.encode(event.limits)
            values: Any = (event.account, event.version, event.ts_ns, event.actor, event.reason, body)
            self._db.execute("INSERT OR REPLACE INTO limits VALUES (?,?,?,?,?,?)", values)
        elif isinstance(event, CashMoved):
            self._db.execute("INSERT INTO flows VALUES (?,?,?)", (event.account, event.ts_ns, str(event.amount)))
        elif isinstance(event, KillChanged):
            self._db.execute("INSERT OR REPLACE INTO kills VALUES (?,?,?)", (partition, event.on, event.actor))
        order = _order(event)
        if order:
            self._steps.append((self._number(order), partition, offset, event.account))
            if isinstance(event, OrderAccepted) and event.replaces:
                self._steps.append((self._number(event.replaces), partition, offset, event.account))

    def _accepted(self, event: OrderAccepted) -> None:
        row = OrderRow(event, self._number(event.order), updated_ts_ns=event.ts_ns)
        parent = self._row(event.replaces) if event.replaces else None
        if parent is not None:
            parent.replaced_by = event.order
            row.inherited = parent.filled + parent.inherited
            self._changed[parent.id] = parent
        if len(self._open) >= MAX_OPEN_ROWS:
            self._open.clear()
        self._open[event.order] = self._changed[event.order] = row
        minute = event.ts_ns // MINUTE_NS
        self._equity[event.account, minute] = (event.account, minute, event.ts_ns, str(event.risk.equity))

    def _followed(self, event: OrderMoved | OrderFilled) -> None:
        row = self._row(event.order)
        if row is None:
            return
        follow(row, event)
        if isinstance(event, OrderFilled):
            self._filled(row, event)
        child = self._row(row.replaced_by) if row.replaced_by else None
        if child is not None and not child.ended:
            child.inherited = row.filled + row.inherited
            self._changed[child.id] = child
        self._changed[event.order] = row

    def _filled(self, row: OrderRow, event: OrderFilled) -> None:
        intent, done = row.intent, row.filled + row.overfilled
        leaves = 0 if row.ended else max(0, intent.qty - row.inherited - done)
        made = Execution(execution_id(event), event, intent.price_scale, intent.qty_scale, done, leaves)
        self._fills.append((event.account, event.ts_ns, made.id, made))

    def _look_up(self, records: Sequence[tuple[int, Record]]) -> None:
        """Read the numbers of ids that are not among the open orders, all at once."""
        told = {_order(event) for _, record in records for event in record.events}
        told |= {event.replaces for _, record in records for event in record.events if isinstance(event, OrderAccepted)}
        asked = _encoder.encode([order for order in told if order not in self._open]).decode()
        self._numbers = dict(self._db.execute(_FIND_IDS, (asked,)))

    def _number(self, order: str) -> int:
        """Return the number of an order id, in the order in which they were seen: what is told of it lies together."""
        row = self._open.get(order) or self._changed.get(order)
        number = self._numbers.get(order) if row is None else row.n
        if number is None:
            self._n += 1
            number = self._numbers[order] = self._ids[order] = self._n
        return number

    def _row(self, order: str) -> OrderRow | None:
        row = self._open.get(order) or self._changed.get(order)
        if row is None:
            found = self._db.execute("SELECT row FROM ids JOIN orders USING (n) WHERE id = ?", (order,)).fetchone()
            row = None if found is None else _rows.decode(found[0])
        return row

    def _forget(self) -> None:
        self._db.rollback()
        self._open.clear()
        self._clear()

    def _clear(self) -> None:
        self._ids.clear()
        self._changed.clear()
        self._steps.clear()
        self._equity.clear()
        self._fills.clear()


def _order(event: AnyEvent) -> str:
    """Return the id of the order that an event tells of, or nothing."""
    return event.target if isinstance(event, CommandRefused) else getattr(event, "order", "")


def execution_id(event: OrderFilled) -> str:
    """Return the id of an execution, the same wherever it is told."""
    return digest("execution", event.venue, event.trade_id)


def follow(row: OrderRow, event: OrderMoved | OrderFilled) -> None:
    """Take an order to where an event leads it, as far as clients see."""
    if isinstance(event, OrderFilled):
        row.filled += event.qty - event.overfill
        row.overfilled += event.overfill
        row.cost += event.cost
        row.fee += event.fee
    else:
        row.venue_order_id = event.venue_order_id or row.venue_order_id
        row.reason = event.reason or row.reason
    row.version += 1
    row.updated_ts_ns = max(row.updated_ts_ns, event.ts_ns)
    if event.to in TERMINAL and not row.ended:
        row.ended_ts_ns = row.updated_ts_ns
    row.status = event.to


def _line(row: OrderRow) -> tuple[Any, ...]:
    intent = row.intent
    return (
        row.n,
        intent.account,
        intent.ts_ns,
        row.ended_ts_ns,
        intent.instrument,
        intent.side,
        row,
    )
