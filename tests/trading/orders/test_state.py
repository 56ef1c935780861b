"""Rows: what follows from their fields."""

from tests.trading.orders.builders import ack, desk, fill, oid, row, step, submit
from trading.orders.state import Account


def test_a_row_knows_its_side_and_leaves() -> None:
    state = desk()
    step(state, submit(side="sell", limit_price="101"))
    assert (row(state).side, row(state).leaves, row(state).working_status) == (-1, 10, "new")
    step(state, ack(held=True))
    assert row(state).status == row(state).working_status == "held"
    step(state, fill(side="sell", qty="3", price="101"))
    assert (row(state).leaves, row(state).working_status, row(state).id) == (7, "partially_filled", oid())
    assert state.account_of(row(state)).id == "a"


def test_orders_that_ended_are_in_the_order_of_time_however_they_come() -> None:
    account = Account("a", "USD", 0)
    state = desk()
    step(state, submit())
    order = row(state)
    for ended_ts_ns in (5, 9, 7, 9, 1):
        order.ended_ts_ns = ended_ts_ns
        account.end(order)
    assert [ended for ended, _ in account.ended] == [1, 5, 7, 9, 9]


def test_memory_of_gone_orders_is_grouped() -> None:
    account = Account("a", "USD", 0)
    for n in range(50):
        account.remember(oid(f"c{n}"), bytes([n]))
    assert [account.recall(oid(f"c{n}")) for n in range(50)] == [bytes([n]) for n in range(50)]
    assert account.recall(oid("other")) is None
    assert all(order.hex().startswith(prefix) for prefix, group in account.known.items() for order in group)
