"""What the screen lets through, every rule lets through; and the usual order needs no more than the screen."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.orders.builders import ABC, T0, XYZ, S, canceled, desk, fill, market, step, submit
from trading.instruments import Instrument
from trading.orders.drafts import Malformed, draft_of_submit
from trading.orders.state import State
from trading.risk import gate
from trading.risk.checks import RULES
from trading.risk.context import Context, Draft
from trading.risk.gate import Approved, Refused
from trading.risk.market import MarketView, Quote
from trading.risk.screen import hold_price_if_safe

# Limits near what the orders below need, so that each rule is met from both sides.
LIMITS: dict[str, st.SearchStrategy[Any]] = {
    "max_order_qty": st.sampled_from(["20", "1000"]),
    "max_order_value": st.sampled_from(["1500", "100000"]),
    "max_position_qty": st.sampled_from(["30", "5000"]),
    "max_var": st.sampled_from(["300", "1000", "500000"]),
    "collar_bps": st.sampled_from([100, 1_000]),
    "concentration_bps": st.sampled_from([500, 2_500, 10_000]),
    "margin_bps": st.sampled_from([5_000, 10_000]),
    "max_open_orders": st.sampled_from([2, 1_000]),
    "message_rate": st.sampled_from([1, 1_000]),
    "message_burst": st.sampled_from([3, 1_000]),
    "repeat_count": st.sampled_from([2, 1_000]),
    "short_allowed": st.booleans(),
}
ORDERS = st.tuples(
    st.sampled_from([XYZ, ABC]),
    st.sampled_from(["buy", "sell"]),
    st.integers(1, 40),
    st.none() | st.integers(97, 103),
    st.sampled_from(["rest", "fill", "cancel"]),
    st.integers(9_700, 10_300),
)


def screened(state: State, draft: Draft, view: MarketView) -> tuple[int, Context]:
    account = state.accounts["a"]
    instrument, quote = view.instruments[draft.instrument], view.quotes[draft.instrument]
    assert account.limits is not None
    account.exposure.revalue(view, draft.ts_ns, 10**18)
    hold = hold_price_if_safe(draft, instrument, account.exposure, account.limits, state.controls, quote)
    return hold, Context(draft, instrument, account.exposure, account.limits, state.controls, view, quote)


@settings(max_examples=200, deadline=None)
@given(st.fixed_dictionaries(LIMITS), st.sampled_from(["10000", "1000000"]), st.lists(ORDERS, max_size=12))
def test_what_it_passes_every_rule_passes(limits: dict[str, Any], cash: str, history: list[tuple[Any, ...]]) -> None:
    state, view = desk(cash=cash, **limits), market()
    for n, (instrument, side, qty, price, after, mark) in enumerate(history):
        scaled = mark * 10 ** (instrument.price_scale - 2)
        view = view.with_quotes({instrument.id: Quote(scaled, T0)})
        fields = {"instrument": instrument.id, "side": side, "qty": str(qty)}
        fields |= {"type": "market"} if price is None else {"limit_price": str(price)}
        command = submit(f"c{n}", **fields)
        draft = draft_of_submit(command, view)
        assert not isinstance(draft, Malformed)
        hold, context = screened(state, draft, view)
        slow = gate._verdict(context)
        assert not hold or (isinstance(slow, Approved) and slow.hold_price == hold)
        verdict = gate.check(draft, state.accounts["a"].exposure, state.accounts["a"].limits, state.controls, view)
        assert verdict == slow
        step(state, command, view)
        if isinstance(slow, Approved) and after == "fill":
            step(state, fill(f"t{n}", f"c{n}", instrument=instrument.id, side=side, qty=str(qty)), view)
        elif isinstance(slow, Approved) and after == "cancel":
            step(state, canceled(f"c{n}"), view)


def usual() -> State:
    state = desk()
    step(state, submit("before"))
    step(state, submit("sell", side="sell", limit_price="105"))
    return state


def made(**changes: Any) -> Draft:
    draft = draft_of_submit(submit("next", **changes), market())
    assert not isinstance(draft, Malformed)
    return draft


@pytest.mark.parametrize(
    ("instrument", "changes"),
    [
        (XYZ, {"limit_price": "98"}),
        (XYZ, {"side": "sell", "limit_price": "106"}),
        (ABC, {"limit_price": "99"}),
        (ABC, {"type": "market"}),
    ],
)
def test_the_usual_order_needs_no_rule(instrument: Instrument, changes: dict[str, Any]) -> None:
    hold, context = screened(usual(), made(instrument=instrument.id, **changes), market())
    assert hold == context.hold_price
    assert [rule(context) for rule in RULES] == [None] * len(RULES)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "market"},
        {"type": "market", "side": "sell"},
        {"type": "stop", "stop_price": "101"},
        {"type": "stop_limit", "stop_price": "101", "limit_price": "102"},
        {"limit_price": "111"},
        {"side": "sell", "limit_price": "89"},
        {"limit_price": "105"},
        {"side": "sell", "limit_price": "99"},
        {"qty": "1001"},
        {"instrument": ABC.id, "side": "sell"},
    ],
)
def test_what_is_not_usual_is_left_to_the_rules(changes: dict[str, Any]) -> None:
    assert screened(usual(), made(**changes), market())[0] == 0


def test_an_exception_in_the_screen_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise RuntimeError("secret")

    monkeypatch.setattr(gate, "hold_price_if_safe", broken)
    state = desk()
    account = state.accounts["a"]
    answer = gate.check(made(), account.exposure, account.limits, state.controls, market(T0 + S))
    assert isinstance(answer, Refused)
    assert answer.code == "RISK_FAILED"


def test_a_kill_switch_or_a_replacement_is_left_to_the_rules() -> None:
    state = usual()
    draft = made()
    assert screened(state, draft, market())[0]
    assert screened(state, msgspec.structs.replace(draft, replacing=True), market())[0] == 0
    assert screened(state, msgspec.structs.replace(draft, reduce_only=True), market())[0] == 0
    state.controls.killed = True
    assert screened(state, draft, market())[0] == 0


@pytest.mark.parametrize(("side", "price"), [("buy", "99"), ("sell", "105")])
def test_open_orders_count_as_filled(side: str, price: str) -> None:
    state = desk(max_position_qty="15")
    step(state, submit("before", side=side, limit_price=price))
    assert screened(state, made(side=side, limit_price=price, qty="5"), market())[0]
    assert screened(state, made(side=side, limit_price=price, qty="6"), market())[0] == 0


def test_near_the_var_limit_the_book_answers_once_it_is_known() -> None:
    state = desk(max_var="1900")
    step(state, submit("held", qty="100", limit_price="100"))
    step(state, fill("t", "held", qty="100", price="100"))
    account = state.accounts["a"].exposure
    draft = made(qty="1", limit_price="99")
    hold, context = screened(state, draft, market())
    assert hold == 0
    assert not account.gross_keeps_var_within(99 * 10**9, 1_900 * 100)
    assert [rule(context) for rule in RULES] == [None] * len(RULES)
    assert screened(state, draft, market())[0] == draft.limit_price
