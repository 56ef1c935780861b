"""The audit finds planted errors and nothing in honest books."""

from collections.abc import Callable

import pytest

from streaming.owner.audit import AUDIT_S, Tally, audit_from
from tests.trading.orders.builders import XYZ, ack, canceled, desk, fill, row, step, submit
from trading.commands import AnyCommand, Deposit, ReplaceOrder
from trading.orders.state import State


def lived() -> tuple[State, Tally]:
    """Return a state with some history before and after the tally began."""
    state = desk("a", "b")
    step(state, submit("c0"))
    step(state, fill("t0", "c0", qty="4"))
    tally = Tally(state)
    commands: list[AnyCommand] = [
        fill("t1", "c0", qty="6"),
        submit("c1"),
        ack("c1"),
        fill("t2", "c1", qty="3", fee="0.5"),
        ReplaceOrder(account="a", ts_ns=row_ts(), order=row(state, "c0").id, client_order_id="no"),
        submit("c2"),
        ack("c2"),
        canceled("c2"),
        Deposit(account="a", ts_ns=row_ts(), actor="x", ref="more", amount="5"),
        submit("c3", side="sell", limit_price="101"),
    ]
    for command in commands:
        tally.hear(step(state, command))
    return state, tally


def row_ts() -> int:
    return submit().ts_ns


async def test_honest_books_have_no_difference() -> None:
    state, tally = lived()
    assert await tally.differences(state) == []


def _cash(state: State) -> None:
    state.accounts["a"].exposure.cash += 1


def _position(state: State) -> None:
    state.accounts["a"].exposure.holdings[XYZ.id].qty -= 1


def _intents(state: State) -> None:
    state.accounts["a"].orders_seen += 1


def _open(state: State) -> None:
    state.accounts["a"].open.popitem()


def _count(state: State) -> None:
    state.accounts["a"].exposure.open_orders += 1


def _reserved(state: State) -> None:
    state.accounts["a"].exposure.holdings[XYZ.id].buy_open += 1


def _overfilled(state: State) -> None:
    row(state, "c1").filled = 11


@pytest.mark.parametrize(
    ("plant", "code"),
    [
        (_cash, "CASH"),
        (_position, "POSITION"),
        (_intents, "INTENTS"),
        (_open, "OPEN"),
        (_count, "OPEN_COUNT"),
        (_reserved, "RESERVED"),
        (_overfilled, "OVERFILLED"),
    ],
)
async def test_each_planted_error_is_found(plant: Callable[[State], None], code: str) -> None:
    state, tally = lived()
    plant(state)
    assert any(found.startswith(f"{code} ") for found in await tally.differences(state))


async def test_a_child_that_forgot_what_its_parent_filled_is_found() -> None:
    state = desk("a")
    for command in (submit("p"), ack("p"), fill("t", "p", qty="4")):
        step(state, command)
    replace = ReplaceOrder(account="a", ts_ns=row_ts(), order=row(state, "p").id, client_order_id="q", qty="12")
    tally = Tally(state)
    tally.hear(step(state, replace))
    assert await tally.differences(state) == []
    row(state, "q").inherited = 0
    assert [found.split()[0] for found in await tally.differences(state)] == ["CHILD"]


def test_partitions_are_audited_apart_and_none_later_than_a_period_after_its_take_over() -> None:
    begun = {audit_from(partition, 100.0) for partition in range(4)}
    assert len(begun) == 4
    assert all(100.0 - AUDIT_S < since_s < 100.0 for since_s in begun)
