"""Cancel all, and whose orders they are."""

from tests.trading.orders.builders import ABC, T0, ack, desk, kinds, oid, row, step, submit
from trading.commands import CancelAll, CancelOrder


def test_cancel_all_takes_what_matches() -> None:
    state = desk("a", "b")
    step(state, submit("c1", strategy="s"))
    step(state, submit("c2", instrument=ABC.id))
    step(state, submit("c3"))
    step(state, submit("c1", account="b"))
    assert len(step(state, CancelAll(account="a", ts_ns=T0, instrument=ABC.id))) == 1
    assert len(step(state, CancelAll(account="a", ts_ns=T0, strategy="s"))) == 1
    assert len(step(state, CancelAll(account="a", ts_ns=T0))) == 1
    assert step(state, CancelAll(account="a", ts_ns=T0)) == []
    assert kinds(step(state, CancelAll(account="x", ts_ns=T0))) == ["command_refused"]
    assert state.orders[oid("c1", "b")].status == "pending_new"


def test_nobody_cancels_anothers_order() -> None:
    state = desk("a", "b")
    step(state, submit())
    step(state, ack())
    assert kinds(step(state, CancelOrder(account="b", ts_ns=T0, order=oid()))) == ["command_refused"]
    assert row(state).status == "new"
