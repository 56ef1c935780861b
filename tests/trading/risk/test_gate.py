"""The gate fails closed: whatever is broken, nothing passes; and two orders never share the last unit."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.orders.builders import ABC, MODEL, NAMES, T0, TABLE, XYZ, S, desk, fill, market, model, step, submit
from trading.orders.drafts import Malformed, draft_of_submit
from trading.orders.state import State
from trading.risk import checks, gate
from trading.risk.context import Draft
from trading.risk.gate import Approved, Refused
from trading.risk.market import MarketView, Quote, quote


def draft(**changes: Any) -> Draft:
    made = draft_of_submit(submit(**changes), market())
    assert not isinstance(made, Malformed)
    return made


def holding_state() -> State:
    state = desk()
    step(state, submit("abc", instrument=ABC.id, qty="1", limit_price="99"))
    step(state, fill("t", "abc", instrument=ABC.id, qty="1"))
    return state


def without(view: MarketView, instrument: str) -> MarketView:
    quotes = {name: q for name, q in view.quotes.items() if name != instrument}
    return MarketView(TABLE, quotes, MODEL, view.closes, 2)


def lacking(instrument: str) -> MarketView:
    return market().with_model(model([name for name in NAMES if name != instrument]))


def aged(instrument: str, ts_ns: int) -> MarketView:
    return market().with_quotes({instrument: Quote(10_000, ts_ns)})


SIDES = st.sampled_from(["buy", "sell"])
BROKEN: list[tuple[str, MarketView | None, str]] = [
    ("no price", without(market(), XYZ.id), "PRICE_MISSING"),
    ("stale price", aged(XYZ.id, T0 - 5 * S - 1), "PRICE_STALE"),
    ("price of the future", aged(XYZ.id, T0 + 5 * S + 1), "PRICE_STALE"),
    ("price zero", market().with_quotes({XYZ.id: Quote(0, T0)}), "RISK_FAILED"),
    ("no price of a holding", without(market(), ABC.id), "PRICE_MISSING"),
    ("old price of a holding", aged(ABC.id, T0 - 86_401 * S), "PRICE_STALE"),
    ("no model", MarketView(TABLE, market().quotes, None, {}, 3), "RISK_PARAMETERS_MISSING"),
    ("no parameters", lacking(XYZ.id), "RISK_PARAMETERS_MISSING"),
    (
        "no parameters of a holding",
        market().with_model(model([n for n in NAMES if n != ABC.id])),
        "RISK_PARAMETERS_MISSING",
    ),
    ("no limits", None, "LIMITS_MISSING"),
]


@pytest.mark.parametrize(("what", "view", "code"), BROKEN, ids=[row[0] for row in BROKEN])
def test_one_broken_input_refuses(what: str, view: MarketView | None, code: str) -> None:
    state = holding_state()
    account = state.accounts["a"]
    whole = gate.check(draft(), account.exposure, account.limits, state.controls, market())
    assert isinstance(whole, Approved)
    limits = None if view is None else account.limits
    answer = gate.check(draft(), account.exposure, limits, state.controls, view or market())
    assert isinstance(answer, Refused)
    assert answer.code == code
    state.controls.killed = True
    killed = gate.check(draft(), account.exposure, limits, state.controls, view or market())
    assert isinstance(killed, Refused)
    assert [b.code for b in killed.breaches] == ["KILL_SWITCH", code]
    assert killed.largest == 0


@pytest.mark.parametrize("place", range(len(checks.RULES)), ids=[rule.__name__ for rule in checks.RULES])
def test_an_exception_in_any_rule_refuses(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("secret path /x")

    rules = list(checks.RULES)
    rules[place] = broken
    monkeypatch.setattr(gate, "RULES", tuple(rules))
    monkeypatch.setattr(gate, "hold_price_if_safe", lambda *_: 0)
    state = desk()
    account = state.accounts["a"]
    answer = gate.check(draft(), account.exposure, account.limits, state.controls, market())
    assert isinstance(answer, Refused)
    assert (answer.code, answer.largest) == ("RISK_FAILED", 0)
    assert "secret" not in str(answer)


@pytest.mark.parametrize("field", ["limit_price", "stop_price", "instrument", "qty", "side"])
def test_a_malformed_draft_refuses(field: str) -> None:
    state = desk()
    account = state.accounts["a"]
    values = {name: getattr(draft(), name) for name in Draft.__struct_fields__} | {field: object()}
    answer = gate.check(Draft(**values), account.exposure, account.limits, state.controls, market())
    assert isinstance(answer, Refused)


def test_what_if_shows_the_room() -> None:
    state = desk()
    account = state.accounts["a"]
    answer = gate.what_if(draft(), account.exposure, account.limits, state.controls, market())
    assert isinstance(answer.verdict, Approved)
    assert (answer.equity, answer.gross, answer.buying_power) == (10**15, 0, 2 * 10**15)
    assert 0 == answer.var_before < answer.var_after
    assert 0 == answer.var_historical_before < answer.var_historical_after
    missing = gate.what_if(draft(), account.exposure, None, state.controls, market())
    assert isinstance(missing.verdict, Refused)


def test_quotes_without_a_price_are_none() -> None:
    assert quote(T0) is None
    assert quote(T0, 0, 5) is None
    assert quote(T0, 10, 9) is None
    crossed = quote(T0, 10, 9, 8)
    assert crossed is not None
    assert crossed.mark == 8


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["buy", "sell"]),
            st.integers(1, 60),
            st.integers(95, 105),
            st.booleans(),
            st.integers(-3, 3),
        ),
        max_size=25,
    )
)
def test_no_history_of_orders_takes_more_than_the_limits(history: list[tuple[str, int, int, bool, int]]) -> None:
    state = desk(cash="10000", max_position_qty="100", max_order_qty="50", max_var="3000")
    account = state.accounts["a"].exposure
    mark = 10_000
    for n, (side, qty, price, filled, move) in enumerate(history):
        view = MarketView(TABLE, {**market().quotes, XYZ.id: Quote(mark, T0)}, MODEL, {}, n + 1)
        accepted = step(state, submit(f"o{n}", side=side, qty=str(qty), limit_price=str(price)), view)
        holding = account.holdings.get(XYZ.id)
        if holding is None:
            continue
        assert holding.qty + holding.buy_open <= 100
        assert holding.sell_open - holding.qty <= 100
        if f"{accepted[0].__struct_config__.tag}" == "order_accepted":
            account.revalue(view, T0, 10**18)
            assert account.gross * 5_000 <= (account.cash + account.value) * 10_000 + 10_000
            assert account.gross == max(
                (holding.qty * mark + holding.buy_raw) * 10**7, (holding.sell_raw - holding.qty * mark) * 10**7
            )
            if filled:
                step(state, fill(f"t{n}", f"o{n}", side=side, qty=str(qty), price=str(price)))
        mark += move * 10
