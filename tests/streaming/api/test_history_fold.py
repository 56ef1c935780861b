"""Whatever happens to orders, the fold shows each of them as the owner does, in parts of any size."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from streaming.api.history_fold import SCHEMA, Fold
from tests.trading.orders.builders import T0, ack, canceled, desk, fill, market, oid, submit
from trading.commands import AnyCommand, CancelOrder, ReplaceOrder, VenueReplaced
from trading.events import CommandRefused
from trading.orders.journal import Record, append, read_record
from trading.orders.oms import decide
from trading.orders.state import OrderRow

STEPS: tuple[AnyCommand, ...] = (
    submit("c1"),
    submit("c2", side="sell", limit_price="105"),
    ack("c1"),
    ack("c2"),
    fill("t1", "c1", qty="3"),
    fill("t2", "c1", qty="4"),
    fill("t3", "c1", qty="9"),
    CancelOrder(account="a", ts_ns=T0, order=oid("c1")),
    canceled("c1"),
    canceled("c2"),
    ReplaceOrder(account="a", ts_ns=T0, order=oid("c1"), client_order_id="c3", qty="20"),
    VenueReplaced(account="a", ts_ns=T0, order=oid("c1"), new_order=oid("c3")),
    fill("t4", "c3", qty="5"),
)
SHOWN = ("status", "filled", "overfilled", "cost", "replaced_by", "inherited", "ended_ts_ns", "venue_order_id")


@contextmanager
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SCHEMA)
        yield db


@given(st.lists(st.integers(0, len(STEPS) - 1), max_size=25), st.integers(1, 7), st.booleans())
def test_the_fold_shows_orders_as_the_owner_does(chosen: list[int], size: int, restarts: bool) -> None:
    state = desk("a")
    records: list[tuple[int, Record]] = []
    for number in chosen:
        events = decide(state, STEPS[number], market(T0))
        if events:
            payload = append(state, "a", "test", T0, events)
            records.append((len(records), read_record(payload)))
    with database() as db:
        fold = Fold(db)
        for start in range(0, len(records), size):
            if restarts:
                fold = Fold(db)
            part = records[start : start + size]
            fold.take(0, part, part[-1][0] + 1, -1)
        sql = "SELECT id, row FROM ids JOIN orders USING (n)"
        found = {row[0]: msgspec.json.decode(row[1], type=OrderRow) for row in db.execute(sql)}
        steps = set(db.execute("SELECT id, offset FROM ids JOIN steps USING (n)"))
        assert fold.progress(0).next_offset == len(records)
    told = {
        (order, offset)
        for offset, record in records
        for event in record.events
        for order in (
            event.target if isinstance(event, CommandRefused) else getattr(event, "order", ""),
            getattr(event, "replaces", ""),
        )
        if order
    }
    assert steps == told
    assert found.keys() == state.orders.keys()
    for order, row in state.orders.items():
        assert [getattr(found[order], name) for name in SHOWN] == [getattr(row, name) for name in SHOWN]


def test_a_broken_chain_changes_nothing() -> None:
    state = desk("a")
    good = read_record(append(state, "a", "test", T0, decide(state, submit("c1"), market(T0))))
    state.hash = "0" * 64
    bad = read_record(append(state, "a", "test", T0, decide(state, submit("c2"), market(T0))))
    with database() as db:
        fold = Fold(db)
        fold.take(0, [(0, good)], 1, -1)
        fold.take(0, [(1, bad)], 2, -1)
        assert (fold.progress(0).fits, fold.progress(0).next_offset) == (False, 1)
        assert db.execute("SELECT count(*) FROM orders").fetchone() == (1,)
