"""Controls: accounts, cash, limits, modes, kill switch."""

import pytest

from tests.trading.orders.builders import T0, ack, desk, kinds, limits_body, oid, row, step, submit
from trading.commands import CancelOrder, Deposit, Kill, OpenAccount, Revive, Scope, SetLimits, SetMode
from trading.events import CommandRefused, LimitsChanged, ModeChanged, OrderRefused


def code(events: list[object]) -> str:
    assert isinstance(events[0], CommandRefused | OrderRefused)
    return events[0].code


def test_an_account_is_opened_once() -> None:
    state = desk()
    assert step(state, OpenAccount(account="a", ts_ns=T0, actor="x")) == []
    assert code([*step(state, OpenAccount(account="a", ts_ns=T0, actor="x", currency="EUR"))]) == "ACCOUNT_EXISTS"
    assert code([*step(state, OpenAccount(account="\n", ts_ns=T0, actor="x"))]) == "ACCOUNT_ID_INVALID"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"ref": "first", "amount": "5"}, "ID_REUSED"),
        ({"amount": "abc"}, "AMOUNT_NOT_A_NUMBER"),
        ({"amount": "0"}, "AMOUNT_OUT_OF_RANGE"),
        ({"amount": "1000000001"}, "AMOUNT_OUT_OF_RANGE"),
        ({"amount": "-1000001"}, "CASH_MISSING"),
        ({"account": "b"}, "ACCOUNT_UNKNOWN"),
    ],
)
def test_deposits_that_are_refused(change: dict[str, str], expected: str) -> None:
    state = desk()
    fields = {"account": "a", "ref": "r", "amount": "1"} | change
    assert code([*step(state, Deposit(ts_ns=T0, actor="x", **fields))]) == expected
    assert state.accounts["a"].exposure.cash == 10**15


def test_a_deposit_counts_once() -> None:
    state = desk()
    for _ in range(2):
        step(state, Deposit(account="a", ts_ns=T0, actor="x", ref="r", amount="-5"))
    assert state.accounts["a"].exposure.cash == 10**15 - 5 * 10**9


def test_limits_have_versions_and_bad_ones_are_refused() -> None:
    state = desk()
    assert step(state, SetLimits(account="a", ts_ns=T0, actor="x", limits=limits_body())) == []
    (event,) = step(state, SetLimits(account="a", ts_ns=T0, actor="x", limits=limits_body(max_order_qty="5")))
    assert isinstance(event, LimitsChanged)
    assert (event.version, event.actor) == (2, "x")
    for bad in ("-1", "abc", "1e12"):
        events = step(state, SetLimits(account="a", ts_ns=T0, actor="x", limits=limits_body(max_var=bad)))
        assert code([*events]) == "LIMITS_INVALID"
    assert code([*step(state, SetLimits(account="b", ts_ns=T0, actor="x", limits=limits_body()))]) == "ACCOUNT_UNKNOWN"


def test_the_kill_switch_stops_the_next_command_and_cancels_what_is_open() -> None:
    state = desk()
    step(state, submit())
    step(state, ack())
    assert kinds(step(state, Kill(account="", ts_ns=T0, actor="ann"))) == ["kill_changed", "order_moved"]
    assert code([*step(state, submit("c2"))]) == "KILL_SWITCH"
    assert row(state).status == "pending_cancel"
    assert step(state, Kill(account="", ts_ns=T0, actor="ann")) == []


def test_cancels_pass_the_kill_switch() -> None:
    state = desk()
    step(state, submit())
    step(state, Kill(account="", ts_ns=T0, actor="ann", cancel_open=False))
    assert kinds(step(state, CancelOrder(account="a", ts_ns=T0, order=oid()))) == ["order_moved"]


def test_another_person_must_lift_the_kill_switch() -> None:
    state = desk()
    step(state, Kill(account="", ts_ns=T0, actor="ann"))
    assert code([*step(state, Revive(account="", ts_ns=T0, actor="ann"))]) == "SAME_PERSON"
    assert kinds(step(state, Revive(account="", ts_ns=T0, actor="bob"))) == ["kill_changed"]
    assert kinds(step(state, submit())) == ["order_accepted"]
    assert step(state, Revive(account="", ts_ns=T0, actor="bob")) == []


def test_a_mode_change_names_old_and_new() -> None:
    state = desk()
    (event,) = step(state, SetMode(account="", ts_ns=T0, actor="x", scope="global", mode="reducing"))
    assert isinstance(event, ModeChanged)
    assert (event.old, event.new) == ("active", "reducing")
    assert step(state, SetMode(account="", ts_ns=T0, actor="x", scope="global", mode="reducing")) == []
    wrong: list[tuple[Scope, str]] = [("global", "t"), ("strategy", ""), ("instrument", "")]
    for scope, target in wrong:
        events = step(state, SetMode(account="", ts_ns=T0, actor="x", scope=scope, target=target, mode="halted"))
        assert code([*events]) == "TARGET_INVALID"
