"""Events that cannot follow stop the owner; they are never applied in part and passed over."""

import pytest

from tests.trading.orders.builders import T0, ack, canceled, desk, fill, oid, step, submit
from trading.events import AccountOpened, Alert, OrderFilled, OrderMoved
from trading.orders.evolve import evolve
from trading.orders.snapshot import state_hash
from trading.orders.transitions import IllegalMoveError


def test_an_illegal_move_raises() -> None:
    state = desk()
    step(state, submit())
    step(state, ack())
    step(state, canceled())
    with pytest.raises(IllegalMoveError, match="canceled -> new"):
        evolve(state, OrderMoved("a", T0, oid(), "new"))


def test_an_execution_account_or_order_is_applied_once() -> None:
    state = desk()
    (accepted,) = step(state, submit())
    (filled,) = step(state, fill(qty="4"))
    assert isinstance(filled, OrderFilled)
    for again in (accepted, filled, AccountOpened("a", T0, "USD", "x")):
        with pytest.raises(AssertionError):
            evolve(state, again)


def test_events_without_an_effect_change_nothing() -> None:
    state = desk()
    before = state_hash(state)
    evolve(state, Alert("a", T0, "CODE", "text"))
    assert state_hash(state) == before
