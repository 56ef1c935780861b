"""Each rule at its limit and one unit beyond, and the largest size that it names."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.orders.builders import (
    ABC,
    EUR,
    MODEL,
    OLD,
    T0,
    XYZ,
    S,
    ack,
    canceled,
    desk,
    fill,
    market,
    step,
    submit,
)
from trading.commands import ReplaceOrder, SetMode, SubmitOrder, TradingMode
from trading.events import Breach
from trading.instruments import Instrument, InstrumentTable
from trading.orders.drafts import Malformed, draft_of_replace, draft_of_submit
from trading.orders.state import State
from trading.orders.transitions import WORKING
from trading.risk import gate
from trading.risk.context import Draft
from trading.risk.gate import Approved, Refused
from trading.risk.market import MarketView


def verdict(state: State, command: SubmitOrder, view: MarketView | None = None) -> Approved | Refused:
    view = market(command.ts_ns) if view is None else view
    draft = draft_of_submit(command, view)
    assert not isinstance(draft, Malformed)
    account = state.accounts[command.account]
    return gate.check(draft, account.exposure, account.limits, state.controls, view)


def codes(state: State, **changes: Any) -> list[str]:
    answer = verdict(state, submit("new", **changes))
    return [breach.code for breach in answer.breaches] if isinstance(answer, Refused) else []


LIMITS = [
    # limits, what passes, what does not, code, largest
    ({"max_order_qty": "50"}, {"qty": "50"}, {"qty": "51"}, "MAX_ORDER_QTY", 50),
    ({"max_order_value": "990"}, {"qty": "10"}, {"qty": "11"}, "MAX_ORDER_VALUE", 10),
    ({"max_position_qty": "20"}, {"qty": "20"}, {"qty": "21"}, "MAX_POSITION", 20),
    ({"collar_bps": 100}, {"limit_price": "101"}, {"limit_price": "101.01"}, "PRICE_COLLAR", 0),
    (
        {"collar_bps": 100},
        {"side": "sell", "limit_price": "99"},
        {"side": "sell", "limit_price": "98.99"},
        "PRICE_COLLAR",
        0,
    ),
    (
        {"cash": "10000"},
        {"qty": "25", "limit_price": "100"},
        {"qty": "26", "limit_price": "100"},
        "CONCENTRATION",
        25,
    ),
    (
        {"cash": "1000", "concentration_bps": 100_000},
        {"qty": "20", "limit_price": "100"},
        {"qty": "21", "limit_price": "100"},
        "BUYING_POWER",
        20,
    ),
    ({"short_allowed": False}, {"qty": "1"}, {"qty": "1", "side": "sell", "limit_price": "101"}, "SHORT_RESTRICTED", 0),
    ({"max_open_orders": 1}, {}, None, "MAX_OPEN_ORDERS", 0),
    ({"message_burst": 1, "message_rate": 1}, {}, None, "MESSAGE_RATE", 0),
    ({"repeat_count": 2}, {}, None, "REPEATED_ORDER", 0),
]


@pytest.mark.parametrize(("limits", "good", "bad", "code", "largest"), LIMITS, ids=[row[3] for row in LIMITS])
def test_the_limit_passes_and_one_more_does_not(
    limits: dict[str, Any], good: dict[str, Any], bad: dict[str, Any] | None, code: str, largest: int
) -> None:
    state = desk(**limits)
    assert isinstance(verdict(state, submit("x", **good)), Approved)
    if bad is None:
        step(state, submit("first"))
        bad = good
    answer = verdict(state, submit("y", **bad))
    assert isinstance(answer, Refused)
    assert (answer.breaches[0].code, answer.largest) == (code, largest)


def test_every_broken_rule_is_named() -> None:
    state = desk(max_order_qty="5", max_position_qty="7", max_order_value="600")
    answer = verdict(state, submit(qty="10"))
    assert isinstance(answer, Refused)
    assert [(b.code, b.largest) for b in answer.breaches] == [
        ("MAX_ORDER_QTY", 5),
        ("MAX_ORDER_VALUE", 6),
        ("MAX_POSITION", 7),
    ]
    assert answer.largest == 5


@pytest.mark.parametrize(
    "change",
    [
        {"qty": "9000000000000000000"},
        {"qty": "1000000000000"},
        {"limit_price": "90000000000000000"},
        {"type": "stop", "stop_price": "90000000000000000"},
        {"type": "stop", "side": "sell", "stop_price": "90000000000000000", "qty": "9000000000000000000"},
    ],
)
def test_an_order_of_any_size_is_refused_by_the_rules_that_it_breaks(change: dict[str, str]) -> None:
    answer = verdict(desk(), submit(**change))
    assert isinstance(answer, Refused)
    broken = {breach.code for breach in answer.breaches}
    assert broken >= {"MAX_ORDER_VALUE", "CONCENTRATION", "BUYING_POWER", "VAR_PARAMETRIC", "VAR_HISTORICAL"}
    assert ("MAX_ORDER_QTY" in broken) is ("qty" in change)
    assert msgspec.json.decode(msgspec.json.encode(answer.breaches), type=tuple[Breach, ...]) == answer.breaches


def test_what_an_instrument_allows() -> None:
    state = desk()
    assert codes(state, instrument=OLD.id) == ["INSTRUMENT_NOT_TRADABLE"]
    assert codes(state, instrument=EUR.id) == ["CURRENCY_MISMATCH"]
    assert codes(state, instrument=ABC.id, qty="1", limit_price="99.001") == ["PRICE_NOT_MULTIPLE_OF_TICK"]
    assert codes(state, instrument=ABC.id, qty="1", limit_price="101", side="sell") == ["SHORT_RESTRICTED"]


def test_a_lot_is_the_smallest_step() -> None:
    lots = msgspec.structs.replace(XYZ, lot=5)
    view = MarketView(InstrumentTable([lots]), market().quotes, MODEL, {}, 1)
    answer = verdict(desk(), submit(qty="12"), view)
    assert isinstance(answer, Refused)
    assert (answer.breaches[0].code, answer.largest) == ("QTY_NOT_MULTIPLE_OF_LOT", 10)


@pytest.mark.parametrize("scope", ["global", "account", "strategy", "instrument"])
def test_modes_stop_or_let_only_reduce(scope: Any) -> None:
    target = {"strategy": "s", "instrument": XYZ.id}.get(scope, "")
    halted, reduce = ["TRADING_HALTED"], ["REDUCE_ONLY"]
    expected: list[tuple[TradingMode, list[str], list[str], list[str]]] = [
        ("halted", halted, halted, halted),
        ("reducing", reduce, [], reduce),
    ]
    for mode, buy, sell, over in expected:
        state = desk()
        step(state, submit("p"))
        step(state, fill("t", "p"))
        step(state, SetMode(account="a", ts_ns=T0, actor="x", scope=scope, target=target, mode=mode))
        assert codes(state, strategy="s") == buy
        assert codes(state, strategy="s", side="sell", limit_price="101") == sell
        assert codes(state, strategy="s", side="sell", limit_price="101", qty="11") == over


def test_an_order_that_only_reduces_counts_what_is_open_too() -> None:
    state = desk()
    step(state, submit())
    step(state, fill())
    sell = {"side": "sell", "type": "market", "limit_price": None, "reduce_only": True}
    assert codes(state, qty="10", **sell) == []
    assert codes(state, qty="11", **sell) == ["REDUCE_ONLY"]
    step(state, submit("exit", side="sell", qty="4", limit_price="110"))
    answer = verdict(state, submit("new", qty="7", **sell))
    assert isinstance(answer, Refused)
    assert (answer.code, answer.largest) == ("REDUCE_ONLY", 6)
    assert codes(state, qty="1", **{**sell, "side": "buy"}) == ["REDUCE_ONLY", "SELF_TRADE"]


def test_own_orders_do_not_trade_with_each_other() -> None:
    state = desk()
    step(state, submit("s", side="sell", limit_price="101"))
    step(state, ack("s"))
    assert codes(state, limit_price="100.99") == []
    assert codes(state, limit_price="101") == ["SELF_TRADE"]
    assert codes(state, type="market") == ["SELF_TRADE"]
    assert codes(state, type="market", side="sell") == []
    state = desk()
    step(state, submit("b", limit_price="99"))
    assert codes(state, side="sell", limit_price="99") == ["SELF_TRADE"]
    assert codes(state, side="sell", limit_price="99.01") == []


@pytest.mark.parametrize(("side", "other", "price"), [("buy", "sell", "105"), ("sell", "buy", "95")])
def test_an_open_market_order_meets_any_own_order_of_the_other_side(side: str, other: str, price: str) -> None:
    state = desk()
    step(state, submit("m", type="market", side=side))
    assert codes(state, side=other, limit_price=price) == ["SELF_TRADE"]
    assert codes(state, side=other, type="market") == ["SELF_TRADE"]
    assert codes(state, side=side, limit_price="100") == []
    step(state, canceled("m"))
    assert codes(state, side=other, limit_price=price) == []
    step(state, submit("s", type="stop", side=side, stop_price="100"))
    assert codes(state, side=other, limit_price=price) == []


def test_var_bounds_what_adds_risk_and_lets_it_fall() -> None:
    state = desk(max_var="1000", concentration_bps=100_000)
    answer = verdict(state, submit(qty="500"))
    assert isinstance(answer, Refused)
    assert {b.code for b in answer.breaches} == {"VAR_PARAMETRIC", "VAR_HISTORICAL"}
    assert 0 < answer.largest < 500
    assert codes(state, qty=str(answer.largest)) == []
    assert codes(state, qty=str(answer.largest + 1)) != []
    step(state, submit("p", qty=str(answer.largest)))
    step(state, fill("t", "p", qty=str(answer.largest)))
    higher = market(XYZ=20_000)
    assert isinstance(verdict(state, submit("more", limit_price="200"), higher), Refused)
    assert isinstance(verdict(state, submit("less", side="sell", limit_price="200"), higher), Approved)


PAST = st.lists(
    st.tuples(
        st.sampled_from([XYZ, ABC]),
        st.sampled_from(["buy", "sell"]),
        st.integers(1, 60),
        st.integers(95, 105),
        st.sampled_from(["rest", "fill", "part", "cancel"]),
    ),
    max_size=6,
)
ORDER = st.tuples(
    st.sampled_from([XYZ, ABC]),
    st.sampled_from(["buy", "sell"]),
    st.sampled_from(["market", "limit", "stop", "stop_limit"]),
    st.integers(9_900, 10_100),
)
SIZE = st.one_of(st.integers(1, 60), st.integers(1, 10**4), st.integers(1, 9 * 10**18))
# The n-th working order is replaced, if there is one.
REPLACES = st.one_of(st.none(), st.integers(0, 5))


def past_of(state: State, history: list[tuple[Instrument, str, int, int, str]]) -> None:
    for n, (instrument, side, qty, price, then) in enumerate(history):
        fields: dict[str, Any] = {"instrument": instrument.id, "side": side}
        step(state, submit(f"h{n}", qty=str(qty), limit_price=str(price), **fields))
        step(state, ack(f"h{n}"))
        part = {"fill": qty, "part": qty // 2}.get(then, 0)
        if part:
            step(state, fill(f"t{n}", f"h{n}", qty=str(part), price=str(price), **fields))
        elif then == "cancel":
            step(state, canceled(f"h{n}"))


def draft_of(state: State, view: MarketView, order: tuple[Instrument, str, str, int], replaces: int | None) -> Draft:
    instrument, side, type_, cents = order
    working = [row for row in state.orders.values() if row.status in WORKING]
    draft: Draft | Malformed
    if replaces is not None and working:
        row = working[replaces % len(working)]
        change = ReplaceOrder(account="a", ts_ns=T0 + S, order=row.id, client_order_id="r")
        draft = draft_of_replace(change, row, view)
    else:
        limit = f"{cents // 100}.{cents % 100:02d}" if "limit" in type_ else None
        stop = "100" if "stop" in type_ else None
        fields: dict[str, Any] = {"instrument": instrument.id, "side": side, "type": type_, "ts_ns": T0 + S}
        draft = draft_of_submit(submit("q", limit_price=limit, stop_price=stop, **fields), view)
    assert not isinstance(draft, Malformed)
    return draft


@settings(max_examples=200, deadline=None)
@given(
    PAST,
    ORDER,
    REPLACES,
    SIZE,
    st.sampled_from(["300", "1500", "50000"]),
    st.sampled_from(["1000", "20000", "200000"]),
    st.booleans(),
    st.integers(9_000, 11_000),
    st.sampled_from(["active", "reducing"]),
)
def test_the_largest_size_passes_and_one_more_does_not_whatever_is_broken(
    history: list[tuple[Instrument, str, int, int, str]],
    order: tuple[Instrument, str, str, int],
    replaces: int | None,
    qty: int,
    max_var: str,
    cash: str,
    short: bool,
    mark: int,
    mode: TradingMode,
) -> None:
    state = desk(cash=cash, max_var=max_var, max_order_qty="2000", max_position_qty="150", short_allowed=short)
    past_of(state, history)
    view = market(T0, XYZ=mark, ABC=mark * 100)
    step(state, SetMode(account="", ts_ns=T0, actor="x", scope="global", mode=mode))
    draft, account = draft_of(state, view, order, replaces), state.accounts["a"]

    def answer_to(size: int) -> Approved | Refused:
        sized = msgspec.structs.replace(draft, qty=size)
        return gate.check(sized, account.exposure, account.limits, state.controls, view)

    answer = answer_to(qty)
    if isinstance(answer, Approved):
        return
    assert answer.code != "RISK_FAILED"
    assert answer.largest < qty
    assert not answer.largest or isinstance(answer_to(answer.largest), Approved)
    assert isinstance(answer_to(answer.largest + 1), Refused)
