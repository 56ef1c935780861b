"""VaR: the incremental figures equal brute force, bit for bit."""

from math import isqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.risk.var import (
    MAX_REACH,
    RETURN_SCALE,
    RiskModel,
    VarBook,
    build_model,
    parametric,
    parametric_within,
)

NAMES = ["A", "B", "C", "D"]


def make(days: int = 300) -> RiskModel:
    rng = np.random.default_rng(11)
    common = rng.normal(0, 0.01, (days, 1))
    return build_model(1, NAMES, common + rng.normal(0, 0.02, (days, len(NAMES))))


MODEL = make()
moves = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(-(10**11), 10**11)), max_size=25)


def brute_quad(x: dict[str, int]) -> int:
    return sum(MODEL.cov[i][j] * x.get(a, 0) * x.get(b, 0) for i, a in enumerate(NAMES) for j, b in enumerate(NAMES))


def brute_historical(x: dict[str, int]) -> int:
    rows: list[list[int]] = MODEL.returns.tolist()
    days = len(rows[0])
    pnl = sorted(sum(rows[i][t] * x.get(name, 0) for i, name in enumerate(NAMES)) for t in range(days))
    return -(-max(0, -pnl[max(1, days // 100) - 1]) // RETURN_SCALE)


@settings(max_examples=60, deadline=None)
@given(moves, st.sampled_from(NAMES), st.integers(-(10**11), 10**11), st.integers(0, 10**11))
def test_incremental_equals_brute_force(history: list[tuple[str, int]], name: str, change: int, limit: int) -> None:
    book, x = VarBook(MODEL), dict[str, int]()
    for n, (moved, cents) in enumerate(history):
        x[moved] = cents
        book.replace(x)
        if n % 4 == 0:
            assert book.historical_after(moved, 0) == brute_historical(x)
    after = {**x, name: x.get(name, 0) + change}
    exact = brute_historical(after)
    worst = max(exact, parametric(brute_quad(after)))
    # The bound may fail to show what is true; it never shows what is not.
    assert not book.surely_within(name, change, limit) or worst <= limit
    assert book.quad_after(name, 0) == brute_quad(x)
    assert book.quad_after(name, change) == brute_quad(after)
    assert book.historical_after(name, change) == exact
    assert not book.surely_within(name, change, worst - 1)


@given(st.integers(0, 10**40), st.integers(0, 10**12))
def test_the_parametric_limit_needs_no_root(quad: int, limit: int) -> None:
    assert parametric_within(quad, limit) is (quad * 5_411_894 <= limit**2 * 10**18)
    assert parametric(quad) == isqrt(quad * 5_411_894 // 10**18)
    assert parametric(-quad) == 0


def test_it_agrees_with_floating_point() -> None:
    book = VarBook(MODEL)
    x = np.array([10**9, -(5 * 10**8), 0, 2 * 10**9])
    book.replace(dict(zip(NAMES, x.tolist(), strict=True)))
    covariance = np.array(MODEL.cov, dtype=float) / 1e12
    wanted = 2.326347874 * np.sqrt(x @ covariance @ x)
    assert parametric(book.quad_after("A", 0)) == pytest.approx(wanted, rel=1e-6)


def test_what_cannot_be_measured_raises() -> None:
    book = VarBook(MODEL)
    with pytest.raises(KeyError):
        book.replace({"Z": 1})
    with pytest.raises(OverflowError):
        book.replace({"A": MAX_REACH})
    assert (book.quad_after("A", 0), book.x) == (0, {})


@given(st.sampled_from(NAMES), st.integers(-(10**40), 10**40), st.integers(-(10**11), 10**11))
def test_an_order_of_any_size_has_a_figure(name: str, change: int, held: int) -> None:
    book = VarBook(MODEL)
    book.replace({"B": held})
    x = {"B": held}
    x[name] = x.get(name, 0) + change
    assert book.historical_after(name, change) == brute_historical(x)
    assert book.quad_after(name, change) == brute_quad(x)


def test_a_model_must_be_whole() -> None:
    with pytest.raises(ValueError, match="scenarios"):
        RiskModel(1, NAMES, MODEL.cov, MODEL.returns.T[:10])
    with pytest.raises(ValueError, match="finite"):
        build_model(1, ["A"], np.array([[np.nan]] * 50))
    assert build_model(1, ["A"], np.random.default_rng(1).normal(0, 0.01, (50, 1))).tail == 1
