"""The metrics against figures worked out by hand, against pandas, and on curves where they are undefined."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.backtest import metrics
from trading.backtest.metrics import RoundTrip

DAY_NS = 86_400 * 10**9


def trip(pnl: int) -> RoundTrip:
    return RoundTrip("SPY.US", 1, 10, 0, DAY_NS, pnl)


def test_a_known_curve_has_the_figures_worked_out_by_hand() -> None:
    result = metrics.measure(
        [0, DAY_NS, 2 * DAY_NS, 3 * DAY_NS, 4 * DAY_NS],
        [100.0, 110.0, 99.0, 104.5, 121.0],
        traded_notional=213.8,
        exposed_ns=DAY_NS,
        trips=[trip(30), trip(-10), trip(20)],
    )
    assert result.total_return == pytest.approx(0.21)
    assert result.max_drawdown == pytest.approx(0.1)
    assert result.max_drawdown_s == 3 * 86_400
    assert result.turnover == pytest.approx(2.0)
    assert result.exposure == 0.25
    assert result.hit_rate == pytest.approx(2 / 3)
    assert result.profit_factor == 5.0
    assert result.trades == 3


def test_sharpe_and_sortino_follow_their_definitions() -> None:
    returns = np.array([0.02, -0.01, 0.03, -0.02, 0.01])
    frame = pd.Series(returns)
    assert metrics.sharpe(returns, 252) == pytest.approx(frame.mean() / frame.std() * math.sqrt(252))
    downside = math.sqrt((0.01**2 + 0.02**2) / 5)
    assert metrics.sortino(returns, 252) == pytest.approx(frame.mean() / downside * math.sqrt(252))


def test_a_run_that_did_nothing_has_no_ratios() -> None:
    result = metrics.measure([0, DAY_NS, 2 * DAY_NS], [100.0] * 3, 0.0, 0, [])
    undefined = (result.sharpe, result.sortino, result.hit_rate, result.profit_factor)
    assert all(math.isnan(figure) for figure in undefined)
    assert (result.total_return, result.max_drawdown, result.turnover, result.exposure) == (0, 0, 0, 0)
    assert math.copysign(1, result.max_drawdown) == 1


def test_one_mark_is_a_curve_and_none_is_refused() -> None:
    assert math.isnan(metrics.measure([0], [100.0], 0.0, 0, []).annual_return)
    with pytest.raises(ValueError, match="at least one"):
        metrics.measure([], [], 0.0, 0, [])


def test_a_curve_that_falls_to_zero_has_no_ratio_but_a_full_drawdown() -> None:
    result = metrics.measure([0, DAY_NS, 2 * DAY_NS], [100.0, 0.0, 0.0], 0.0, 0, [])
    assert math.isnan(result.sharpe)
    assert result.max_drawdown == 1.0


def test_a_gain_of_minutes_says_nothing_about_a_year() -> None:
    assert math.isnan(metrics.annualised(2.0, 60 * 10**9))
    assert metrics.annualised(2.0, 365 * DAY_NS + DAY_NS // 4) == pytest.approx(1.0)


@given(st.lists(st.floats(1.0, 1e6), min_size=2, max_size=50))
def test_drawdown_agrees_with_the_slow_definition(equity: list[float]) -> None:
    curve = np.array(equity)
    slow = [value / max(equity[: i + 1]) - 1 for i, value in enumerate(equity)]
    assert metrics.drawdown(curve) == pytest.approx(slow)


@given(st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=2, max_size=30))
def test_the_longest_drawdown_agrees_with_the_slow_definition(equity: list[float]) -> None:
    longest, peak, since = 0, equity[0], 0
    for i, value in enumerate(equity):
        longest = max(longest, i - since)
        if value >= peak:
            peak, since = value, i
    times = np.arange(len(equity), dtype=np.int64)
    assert metrics.longest_drawdown_ns(times, np.array(equity)) == longest
