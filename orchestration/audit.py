"""The conservation audit of the order path over its lake tables, kept apart from the code that wrote them. Pure.

Every intent is acknowledged, rejected or in doubt; fills add up to positions; cash in, cost and fees add up to cash; no
number is missing in the journal, and its hash chain holds.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from orchestration.checks import SHOWN, Finding
from trading.events import AnyEvent, CashMoved, OrderAccepted, OrderFilled, OrderMoved
from trading.orders.journal import JournalError, read_record, verify
from trading.orders.transitions import TERMINAL

BATCH_ROWS = 10_000
ACKNOWLEDGES = frozenset({"new", "held", "partially_filled", "filled", "canceled", "expired", "replaced"})


@dataclass
class _Order:
    qty: int
    acked: bool = False
    ended: str = ""
    filled: int = 0


@dataclass
class Books:
    """What the events of the journal add up to."""

    orders: dict[str, _Order] = field(default_factory=dict)
    strangers: list[str] = field(default_factory=list)
    cash_in: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    fills: int = 0

    def hear(self, events: Iterable[AnyEvent]) -> None:
        """Add up events in their order."""
        for event in events:
            if isinstance(event, OrderAccepted):
                self.orders[event.order] = _Order(event.qty)
            elif isinstance(event, CashMoved):
                self.cash_in[event.account] += event.amount
            elif isinstance(event, OrderMoved | OrderFilled):
                self._move(event)

    def _move(self, event: OrderMoved | OrderFilled) -> None:
        order = self.orders.get(event.order)
        if order is None:
            self.strangers.append(f"{event.order} was never accepted")
            return
        if isinstance(event, OrderFilled):
            self.fills += 1
            order.filled += event.qty - event.overfill
            order.acked = True
            if order.filled > order.qty:
                self.strangers.append(f"{event.order} is filled beyond its quantity")
        elif order.ended:
            self.strangers.append(f"{event.order} moved after it was {order.ended}")
        order.acked = order.acked or event.to in ACKNOWLEDGES
        if event.to in TERMINAL:
            order.ended = event.to

    def intents(self) -> Finding:
        """Intents = acknowledged + rejected + in doubt, and nothing happened to an order that there is not."""
        acked = sum(order.acked for order in self.orders.values())
        rejected = sum(order.ended == "rejected" and not order.acked for order in self.orders.values())
        doubt = sum(not order.ended and not order.acked for order in self.orders.values())
        total = len(self.orders)
        message = f"{total} intents = {acked} acknowledged + {rejected} rejected + {doubt} in doubt"
        message += "".join(f"; {text}" for text in self.strangers[:SHOWN])
        passed = total == acked + rejected + doubt and not self.strangers
        figures = {"intents": total, "acknowledged": acked, "rejected": rejected, "in_doubt": doubt}
        return Finding("intents", passed, message, figures | {"strangers": len(self.strangers)})


def until(table: pa.Table, ends: Mapping[int, int]) -> pa.Table:
    """Return the rows that come from offsets below the end of their partition, in order, so that tables compare."""
    keep = pc.scalar(False)
    for partition, end in ends.items():
        keep |= (pc.field("src_partition") == partition) & (pc.field("src_offset") < end)
    by = [("src_partition", "ascending"), ("src_offset", "ascending"), ("src_row", "ascending")]
    return table.filter(keep).sort_by(by)


def audit(journal: pa.Table, fills: pa.Table, positions: pa.Table) -> dict[str, list[Finding]]:
    """Return the findings of each table. All three hold the same offsets."""
    valid = journal.filter(pc.invert(journal["stale"]))
    books = Books()
    for row in _rows(valid, "payload"):
        books.hear(read_record(row["payload"]).events)
    return {
        "journal_v1": [_sequence(valid), _chain(valid), books.intents()],
        "fills_v1": [_executions(fills, books.fills)],
        "positions_v1": [_positions(fills, positions), _cash(fills, positions, books.cash_in)],
    }


def _rows(table: pa.Table, *columns: str) -> Iterator[dict[str, Any]]:
    """Yield rows, a batch at a time: as Python values a journal takes several times its size."""
    for batch in table.select(columns).to_batches(max_chunksize=BATCH_ROWS):
        yield from batch.to_pylist()


def _partitions(table: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    for partition in sorted(pc.unique(table["src_partition"]).to_pylist()):
        yield partition, table.filter(pc.field("src_partition") == partition)


def _sequence(journal: pa.Table) -> Finding:
    faults = []
    for partition, records in _partitions(journal):
        for place, row in enumerate(_rows(records, "seq"), start=1):
            if row["seq"] != place:
                faults.append(f"partition {partition}: record {row['seq']} where {place} belongs")
                break
    figures = {"records": journal.num_rows, "faults": len(faults)}
    return Finding("sequence", not faults, "; ".join(faults) or f"{journal.num_rows} records without a gap", figures)


def _chain(journal: pa.Table) -> Finding:
    faults = []
    for partition, records in _partitions(journal):
        try:
            verify(row["payload"] for row in _rows(records, "payload"))
        except JournalError as error:
            faults.append(f"partition {partition}: {error.code}: {error}")
    message = "; ".join(faults) or "every record continues the one before, and matches its hash"
    return Finding("hash_chain", not faults, message, {"records": journal.num_rows, "faults": len(faults)})


def _executions(fills: pa.Table, in_journal: int) -> Finding:
    key = ["account", "venue", "trade_id"]
    repeats = fills.num_rows - fills.group_by(key).aggregate([]).num_rows
    message = f"{fills.num_rows} rows, {in_journal} in the journal, {repeats} repeat (account, venue, trade_id)"
    figures = {"rows": fills.num_rows, "in_journal": in_journal, "repeats": repeats}
    return Finding("executions", fills.num_rows == in_journal and not repeats, message, figures)


def _positions(fills: pa.Table, positions: pa.Table) -> Finding:
    summed: defaultdict[tuple[str, str], int] = defaultdict(int)
    for row in _rows(fills, "account", "instrument", "side", "qty"):
        summed[row["account"], row["instrument"]] += row["qty"] if row["side"] == "buy" else -row["qty"]
    told = _rows(positions, "account", "instrument", "qty")
    newest = {(row["account"], row["instrument"]): row["qty"] for row in told if row["instrument"]}
    return _compared("positions", "fills", summed, newest)


def _cash(fills: pa.Table, positions: pa.Table, cash_in: Mapping[str, int]) -> Finding:
    summed = defaultdict(int, cash_in)
    for row in _rows(fills, "account", "cost", "fee"):
        summed[row["account"]] -= row["cost"] + row["fee"]
    newest = {row["account"]: row["cash"] for row in _rows(positions, "account", "cash")}
    return _compared("cash", "cash in - cost - fees", summed, newest)


def _compared(name: str, what: str, wanted: Mapping[Any, int], found: Mapping[Any, int]) -> Finding:
    wrong = [key for key in sorted({*wanted, *found}) if wanted.get(key) != found.get(key)]
    shown = "".join(f"; {key}: {what} {wanted.get(key)}, table {found.get(key)}" for key in wrong[:SHOWN])
    message = f"{len(wrong)} of {len({*wanted, *found})} differ from the sum of {what}{shown}"
    return Finding(name, not wrong, message, {"compared": len({*wanted, *found}), "wrong": len(wrong)})
