"""What time brings: expiry, silence of a venue, retirement."""

import heapq

from hypothesis import given
from hypothesis import strategies as st

from tests.trading.orders.builders import T0, S, ack, canceled, desk, fill, kinds, oid, row, step, submit
from trading.commands import Timer
from trading.events import OrderRefused
from trading.orders.expiry import due
from trading.orders.state import RETIRE_AFTER_NS


def timer(ts_ns: int) -> Timer:
    return Timer(account="", ts_ns=ts_ns)


def test_a_gtd_order_is_cancelled_at_its_time_and_ends_as_expired() -> None:
    state = desk()
    step(state, submit(tif="gtd", expire_ts_ns=T0 + S))
    step(state, ack())
    assert step(state, timer(T0 + S - 1)) == []
    assert kinds(step(state, timer(T0 + S))) == ["order_moved"]
    assert step(state, timer(T0 + 2 * S)) == []
    step(state, canceled())
    assert row(state).status == "expired"
    assert not state.deadlines


def test_the_accounts_timeout_bounds_every_order() -> None:
    state = desk(order_timeout_ms=2_000)
    step(state, submit())
    step(state, ack())
    assert kinds(step(state, timer(T0 + 2 * S))) == ["order_moved"]


def test_a_silent_venue_makes_the_order_unknown_once() -> None:
    state = desk(ack_timeout_ms=1_000)
    step(state, submit())
    assert step(state, timer(T0 + S - 1)) == []
    assert kinds(step(state, timer(T0 + S))) == ["order_moved"]
    assert (row(state).status, step(state, timer(T0 + 5 * S))) == ("unknown", [])


def test_an_expired_order_with_an_unknown_outcome_is_cancelled_when_it_is_found() -> None:
    state = desk(ack_timeout_ms=1_000)
    step(state, submit(tif="gtd", expire_ts_ns=T0 + 3 * S))
    step(state, timer(T0 + S))
    assert kinds(step(state, timer(T0 + 3 * S))) == ["order_moved"]
    assert step(state, timer(T0 + 4 * S)) == []
    step(state, ack())
    assert row(state).status == "pending_cancel"
    step(state, canceled())
    assert row(state).status == "expired"


def test_orders_leave_a_day_after_their_end_and_stay_known() -> None:
    state = desk()
    for cid in ("c1", "c2"):
        step(state, submit(cid))
    step(state, fill())
    assert step(state, timer(T0 + RETIRE_AFTER_NS - 1)) == [] or row(state, "c2").status == "unknown"
    assert "orders_retired" in kinds(step(state, timer(T0 + RETIRE_AFTER_NS)))
    assert set(state.orders) == {oid("c2")}
    assert not state.accounts["a"].trades
    assert step(state, submit()) == []
    again = step(state, submit(qty="11"))
    assert isinstance(again[0], OrderRefused)
    assert again[0].code == "ID_REUSED"
    assert kinds(step(state, fill())) == ["fill_quarantined", "alert"]
    assert state.accounts["a"].exposure.holdings["XYZ.SIM"].qty == 10


@given(st.lists(st.tuples(st.integers(0, 20), st.text(max_size=2))), st.integers(0, 20))
def test_due_reads_a_heap_without_changing_it(entries: list[tuple[int, str]], now: int) -> None:
    heapq.heapify(entries)
    before = list(entries)
    assert due(entries, now) == sorted(entry for entry in entries if entry[0] <= now)
    assert entries == before
