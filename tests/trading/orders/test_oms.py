"""Submit and replace: accepted, refused, repeated."""

from typing import Any

import pytest

from tests.trading.orders.builders import (
    ABC,
    T0,
    XYZ,
    S,
    ack,
    desk,
    fill,
    kinds,
    limits_body,
    market,
    oid,
    row,
    step,
    submit,
)
from trading.commands import ReplaceOrder, SetLimits, SetMode, VenueRejected, VenueReplaced
from trading.events import CommandRefused, ModeChanged, OrderAccepted, OrderRefused
from trading.orders.oms import decide
from trading.orders.snapshot import state_hash


def refused_code(events: Any) -> Any:
    assert isinstance(events[0], OrderRefused | CommandRefused)
    return events[0].code


def test_an_order_is_accepted_with_its_inputs_and_held() -> None:
    state = desk()
    (event,) = step(state, submit())
    assert isinstance(event, OrderAccepted)
    assert (event.order, event.request, event.hold_price) == (oid(), f"{oid()}-new", 9_900)
    assert (event.risk.price, event.risk.limits_version, event.price_scale) == (10_000, 1, 2)
    assert row(state).status == "pending_new"
    holding = state.accounts["a"].exposure.holdings[XYZ.id]
    assert (holding.buy_open, holding.buy_raw) == (10, 99_000)


def test_decide_changes_nothing() -> None:
    state = desk()
    step(state, submit())
    before = state_hash(state)
    for command in (submit("c2"), ack(), fill(), submit("c3", qty="100000")):
        decide(state, command, market())
    assert state_hash(state) == before


MALFORMED = [
    ({"qty": "0"}, "QTY_NOT_POSITIVE"),
    ({"qty": "-1"}, "QTY_NOT_POSITIVE"),
    ({"qty": "1.5"}, "QTY_NOT_A_MULTIPLE"),
    ({"qty": "NaN"}, "QTY_NOT_FINITE"),
    ({"qty": "1e30"}, "QTY_OUT_OF_RANGE"),
    ({"qty": "0x10"}, "QTY_NOT_A_NUMBER"),
    ({"qty": "\u0661"}, "QTY_NOT_A_NUMBER"),
    ({"limit_price": "99.001"}, "LIMIT_PRICE_NOT_A_MULTIPLE"),
    ({"limit_price": "0"}, "LIMIT_PRICE_NOT_POSITIVE"),
    ({"limit_price": None}, "LIMIT_PRICE_MISSING"),
    ({"type": "market", "limit_price": "99"}, "LIMIT_PRICE_NOT_ALLOWED"),
    ({"type": "stop"}, "STOP_PRICE_MISSING"),
    ({"stop_price": "99"}, "STOP_PRICE_NOT_ALLOWED"),
    ({"type": "stop", "stop_price": "99", "tif": "ioc"}, "TIF_NOT_ALLOWED"),
    ({"tif": "gtd"}, "EXPIRE_TIME_MISSING"),
    ({"tif": "gtd", "expire_ts_ns": T0}, "EXPIRE_TIME_PAST"),
    ({"expire_ts_ns": T0 + 1}, "EXPIRE_TIME_NOT_ALLOWED"),
    ({"instrument": "../x"}, "INSTRUMENT_UNKNOWN"),
    ({"client_order_id": "a\u202eb"}, "CLIENT_ORDER_ID_INVALID"),
    ({"client_order_id": "x" * 129}, "CLIENT_ORDER_ID_INVALID"),
    ({"account": "nobody"}, "ACCOUNT_UNKNOWN"),
]


@pytest.mark.parametrize(("change", "code"), MALFORMED, ids=[f"{i}-{code}" for i, (_, code) in enumerate(MALFORMED)])
def test_what_has_no_meaning_is_refused_with_a_code(change: Any, code: Any) -> None:
    state = desk()
    before = state_hash(state)
    assert refused_code(step(state, submit(**change))) == code
    assert state_hash(state) == before


@pytest.mark.parametrize("type_", ["market", "limit", "stop", "stop_limit"])
@pytest.mark.parametrize("tif", ["day", "gtc", "ioc", "fok", "gtd"])
def test_each_type_and_time_in_force(type_: Any, tif: Any) -> None:
    state = desk()
    prices: dict[str, Any] = {
        "limit_price": "99" if "limit" in type_ else None,
        "stop_price": "101" if "stop" in type_ else None,
        "expire_ts_ns": T0 + S if tif == "gtd" else None,
    }
    (event,) = step(state, submit(type=type_, tif=tif, **prices))
    if "stop" in type_ and tif in ("ioc", "fok"):
        assert refused_code([event]) == "TIF_NOT_ALLOWED"
        return
    assert isinstance(event, OrderAccepted)
    end = {"gtd": T0 + S, "day": T0 - T0 % (86_400 * S) + 86_400 * S}.get(tif)
    assert event.expire_ts_ns == end


def test_a_day_order_ends_with_its_session_or_is_refused_without_one() -> None:
    state = desk()
    (event,) = step(state, submit(instrument="NYS.SIM", tif="day"))
    assert isinstance(event, OrderAccepted)
    assert event.expire_ts_ns == T0 + 3_600 * S
    assert refused_code(step(state, submit("c2", instrument="NYS.SIM", tif="day"), market().with_closes({}))) == (
        "SESSION_UNKNOWN"
    )


def test_a_repetition_is_the_same_order_and_another_body_is_refused() -> None:
    state = desk()
    step(state, submit())
    assert step(state, submit(qty="10.0", ts_ns=T0 + S)) == []
    assert refused_code(step(state, submit(qty="11"))) == "ID_REUSED"
    assert len(state.orders) == 1


def test_a_repetition_is_known_after_the_time_of_the_order_has_passed() -> None:
    state = desk()
    step(state, submit(tif="gtd", expire_ts_ns=T0 + S))
    assert step(state, submit(tif="gtd", expire_ts_ns=T0 + S, ts_ns=T0 + 2 * S)) == []
    assert refused_code(step(state, submit(tif="gtd", expire_ts_ns=T0 + 2 * S, ts_ns=T0 + 2 * S))) == "ID_REUSED"
    assert refused_code(step(state, submit("c2", tif="gtd", expire_ts_ns=T0 + S, ts_ns=T0 + 2 * S))) == (
        "EXPIRE_TIME_PAST"
    )


def test_a_refusal_is_remembered_and_a_passing_fault_is_not() -> None:
    state = desk(message_burst=2, message_rate=1)
    assert refused_code(step(state, submit(qty="1001"))) == "MAX_ORDER_QTY"
    again = decide(state, submit(qty="1001", ts_ns=T0 + S), market())
    assert isinstance(again[0], OrderRefused)
    assert (again[0].code, again[0].repeat) == ("MAX_ORDER_QTY", True)
    assert refused_code(step(state, submit(qty="10"))) == "ID_REUSED"
    step(state, submit("c2"))
    step(state, submit("c3"))
    assert refused_code(step(state, submit("c4"))) == "MESSAGE_RATE"
    assert kinds(step(state, submit("c4", ts_ns=T0 + 2 * S))) == ["order_accepted"]


def test_the_same_client_id_in_two_accounts_is_two_orders() -> None:
    state = desk("a", "b")
    step(state, submit())
    step(state, submit(account="b"))
    assert set(state.orders) == {oid(), oid(account="b")}


def test_the_kth_identical_order_is_refused_and_stops_the_strategy() -> None:
    state = desk(repeat_count=3)
    for n in range(2):
        step(state, submit(f"r{n}", strategy="sma"))
    assert kinds(step(state, submit("r2", strategy="sma"))) == ["order_refused", "mode_changed"]
    assert refused_code(step(state, submit("r3", strategy="sma", qty="11", ts_ns=T0 + 5 * S))) == "TRADING_HALTED"
    assert kinds(step(state, submit("r4", strategy="other"))) == ["order_accepted"]
    step(state, SetMode(account="a", ts_ns=T0, actor="risk-desk", scope="strategy", target="sma", mode="active"))
    assert kinds(step(state, submit("r5", strategy="sma", ts_ns=T0 + 5 * S))) == ["order_accepted"]


def replace(cid: str = "c2", of: str = "c1", **changes: Any) -> Any:
    fields: dict[str, Any] = {"account": "a", "ts_ns": T0, "order": oid(of), "client_order_id": cid}
    return ReplaceOrder(**(fields | changes))


def test_a_replacement_holds_only_what_it_needs_beyond_the_old_order() -> None:
    state = desk()
    step(state, submit())
    step(state, ack())
    assert kinds(step(state, replace(qty="15", limit_price="98"))) == ["order_moved", "order_accepted"]
    holding = state.accounts["a"].exposure.holdings[XYZ.id]
    assert (holding.buy_open, holding.buy_raw) == (15, 15 * 9_800)
    assert (row(state).status, row(state, "c2").status) == ("pending_replace", "pending_new")
    step(state, VenueReplaced(account="a", ts_ns=T0, order=oid(), new_order=oid("c2"), venue_order_id="v2"))
    assert (row(state).status, row(state, "c2").status) == ("replaced", "new")
    assert (holding.buy_open, holding.buy_raw) == (15, 15 * 9_800)


def test_a_refused_replacement_gives_back_the_old_order_and_its_hold() -> None:
    state = desk()
    step(state, submit())
    step(state, ack())
    step(state, replace(qty="15"))
    step(state, VenueRejected(account="a", ts_ns=T0, order=oid(), request="replace", code="NO"))
    holding = state.accounts["a"].exposure.holdings[XYZ.id]
    assert (row(state).status, row(state, "c2").status, holding.buy_open) == ("new", "rejected", 10)


def test_what_was_filled_before_counts_against_the_new_quantity() -> None:
    state = desk()
    step(state, submit())
    step(state, ack())
    step(state, fill(qty="4"))
    step(state, replace(qty="12"))
    step(state, fill("t2", qty="3"))
    step(state, VenueReplaced(account="a", ts_ns=T0, order=oid(), new_order=oid("c2")))
    assert (row(state).filled, row(state, "c2").leaves) == (7, 5)
    step(state, fill("t3", "c2", qty="5"))
    assert (row(state, "c2").status, state.accounts["a"].exposure.holdings[XYZ.id].qty) == ("filled", 12)
    assert state.accounts["a"].exposure.holdings[XYZ.id].buy_open == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"of": "nothing"}, "ORDER_UNKNOWN"),
        ({"qty": "4"}, "QTY_ALREADY_FILLED"),
        ({"stop_price": "5"}, "STOP_PRICE_NOT_ALLOWED"),
        ({"qty": "2000"}, "MAX_ORDER_QTY"),
        ({"account": "b"}, "ORDER_UNKNOWN"),
        ({"cid": "c1", "qty": "12"}, "ID_REUSED"),
    ],
)
def test_replacements_that_are_refused(change: Any, code: Any) -> None:
    state = desk("a", "b")
    step(state, submit())
    step(state, ack())
    step(state, fill(qty="4"))
    assert refused_code(step(state, replace(**change))) == code
    assert row(state).status == "partially_filled"


def test_a_replacement_keeps_the_rules_of_type_and_time() -> None:
    state = desk()
    step(state, submit(type="stop", stop_price="101"))
    step(state, ack())
    for tif in ("ioc", "fok"):
        assert refused_code(step(state, replace(tif=tif))) == "TIF_NOT_ALLOWED"
    assert refused_code(step(state, replace(tif="gtd"))) == "EXPIRE_TIME_MISSING"
    step(state, submit("g", tif="gtd", expire_ts_ns=T0 + S))
    step(state, ack("g"))
    assert refused_code(step(state, replace("g2", "g", qty="12", ts_ns=T0 + S))) == "EXPIRE_TIME_PAST"
    assert kinds(step(state, replace("g2", "g", qty="12"))) == ["order_moved", "order_accepted"]
    assert step(state, replace("g2", "g", qty="12", ts_ns=T0 + S)) == []


def test_replacing_a_partly_filled_order_again_and_again_is_noticed() -> None:
    state = desk(repeat_count=3)
    step(state, submit("r0", qty="20"))
    step(state, ack("r0"))
    step(state, fill("t", "r0", qty="4"))
    step(state, replace("r1", "r0"))
    step(state, VenueReplaced(account="a", ts_ns=T0, order=oid("r0"), new_order=oid("r1")))
    assert refused_code(step(state, replace("r2", "r1"))) == "REPEATED_ORDER"


def test_a_repeated_replacement_is_the_same_one() -> None:
    state = desk()
    step(state, submit())
    assert refused_code(step(state, replace(qty="5"))) == "ORDER_NOT_REPLACEABLE"
    step(state, ack())
    step(state, replace(qty="12"))
    assert step(state, replace(qty="12")) == []
    assert refused_code(step(state, replace(qty="13"))) == "ID_REUSED"


def test_the_stop_of_a_strategy_names_the_mode_before_it_and_comes_once() -> None:
    state = desk(repeat_count=2)
    step(state, submit("c1", strategy="s"))
    step(state, SetMode(account="a", ts_ns=T0, actor="x", scope="strategy", target="s", mode="reducing"))
    _, stop = step(state, submit("c2", strategy="s"))
    assert isinstance(stop, ModeChanged)
    assert (stop.old, stop.new) == ("reducing", "halted")
    assert kinds(step(state, submit("c3", strategy="s"))) == ["order_refused"]


def test_without_limits_nothing_passes() -> None:
    state = desk()
    state.accounts["a"].limits = None
    assert refused_code(step(state, submit())) == "LIMITS_MISSING"
    step(state, SetLimits(account="a", ts_ns=T0, actor="x", limits=limits_body()))
    assert kinds(step(state, submit("c2", instrument=ABC.id, qty="0.5"))) == ["order_accepted"]
