"""The valuation that is kept up to date equals the one from scratch."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.orders.builders import ABC, MODEL, T0, TABLE, XYZ, S, canceled, desk, fill, market, step, submit
from trading.risk.exposure import Exposure, Holding, ValuationError
from trading.risk.market import MarketView, Quote

MOVES = st.lists(
    st.tuples(
        st.sampled_from([XYZ, ABC]),
        st.sampled_from(["open", "fill", "cancel", "price"]),
        st.integers(1, 20),
        st.integers(9_500, 10_500),
    ),
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(MOVES)
def test_kept_up_to_date_equals_from_scratch(moves: list[tuple[object, str, int, int]]) -> None:
    state = desk(cash="10000000")
    exposure = state.accounts["a"].exposure
    view: MarketView = market()
    for n, (instrument, what, qty, price) in enumerate(moves):
        chosen = XYZ if instrument is XYZ else ABC
        cid = f"c{n}"
        if what == "price":
            scaled = price * 10 ** (chosen.price_scale - 2)
            view = view.with_quotes({chosen.id: Quote(scaled, T0)})
        else:
            step(state, submit(cid, instrument=chosen.id, qty=str(qty), limit_price="95"), view)
            if what == "fill":
                step(state, fill(f"t{n}", cid, instrument=chosen.id, qty=str(qty)), view)
            elif what == "cancel":
                step(state, canceled(cid), view)
        exposure.revalue(view, T0, 10**18)
        fresh = Exposure("USD")
        fresh.cash = exposure.cash
        fresh.holdings = copy.deepcopy(exposure.holdings)
        fresh.revalue(view, T0, 10**18)
        assert (fresh.value, fresh.gross) == (exposure.value, exposure.gross)
        book, kept = fresh.var_book(), exposure.var_book()
        assert book.x == kept.x
        assert book.quad_after(XYZ.id, 5) == kept.quad_after(XYZ.id, 5)


def test_more_cannot_be_released_than_is_held() -> None:
    holding = Holding(XYZ.id, 2, 0)
    holding.reserve(1, 5, 500)
    with pytest.raises(AssertionError, match="released"):
        holding.reserve(1, -6, -600)


def test_what_cannot_be_valued_has_a_code() -> None:
    state = desk()
    step(state, submit())
    step(state, fill())
    exposure = state.accounts["a"].exposure
    for view, code in (
        (MarketView(TABLE, {}, MODEL, {}, 9), "PRICE_MISSING"),
        (MarketView(TABLE, market(T0 - S).quotes, MODEL, {}, 9), "PRICE_STALE"),
        (MarketView(TABLE, market().quotes, None, {}, 9), "RISK_PARAMETERS_MISSING"),
    ):
        with pytest.raises(ValuationError) as error:
            exposure.revalue(view, T0, S - 1)
        assert error.value.code == code
    exposure.revalue(market(), T0, S)
    assert exposure.value == 10**12


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), max_size=30), st.integers(1, 20))
def test_the_window_of_repeated_orders(notes: list[tuple[int, int]], window: int) -> None:
    exposure, now = Exposure("USD"), 0
    seen: list[tuple[int, int]] = []
    for kind, gap in notes:
        now += gap
        exposure.note_order(("", "", kind, 1, "limit", None, None), now, window)
        seen = [(ts, k) for ts, k in [*seen, (now, kind)] if ts > now - window]
        assert {key[2]: times for key, times in exposure.recent.items()} == {
            k: [ts for ts, other in seen if other == k] for _, k in seen
        }


@given(st.lists(st.integers(0, 400), min_size=1, max_size=60), st.integers(1, 10), st.integers(1, 5))
def test_the_message_budget_is_never_exceeded(gaps: list[int], rate: int, burst: int) -> None:
    exposure, gap_ns = Exposure("USD"), 1_000 // rate
    passed, now = [], 0
    for gap in gaps:
        now += gap
        if exposure.tat_ns - now <= (burst - 1) * gap_ns:
            exposure.spend(now, gap_ns)
            passed.append(now)
    for first in passed:
        for last in passed:
            if last >= first:
                inside = sum(first <= ts <= last for ts in passed)
                assert inside <= burst + (last - first) / gap_ns + 1
