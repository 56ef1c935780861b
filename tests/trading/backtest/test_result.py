from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.amounts import notional
from trading.backtest.result import curve_of
from trading.instruments import Instrument


@pytest.mark.parametrize(("price_scale", "qty_scale"), [(2, 0), (6, 0), (2, 8), (5, 8)])
@given(st.lists(st.tuples(st.integers(-(10**9), 10**9), st.integers(1, 10**8)), min_size=1, max_size=10))
def test_equity_is_exact_in_every_scale(price_scale: int, qty_scale: int, rows: list[tuple[int, int]]) -> None:
    instrument = Instrument(symbol="X", venue="SIM", price_scale=price_scale, qty_scale=qty_scale)
    points = [(n, 10**12 + n, qty) for n, (qty, _) in enumerate(rows)]
    marks = np.array([mark for _, mark in rows], np.int64)
    curve = curve_of(points, np.arange(len(rows)), marks, instrument)
    for n, (qty, mark) in enumerate(rows):
        exact = Decimal(qty) * mark * Decimal(10) ** (9 - price_scale - qty_scale)
        assert notional(mark, qty, price_scale, qty_scale) == int(exact.to_integral_value(ROUND_HALF_EVEN))
        assert int(curve.equity[n]) == 10**12 + n + notional(mark, qty, price_scale, qty_scale)


def test_a_point_is_in_force_from_its_time_on() -> None:
    instrument = Instrument(symbol="X", venue="SIM", price_scale=0, qty_scale=0)
    times = np.array([10, 20, 30], np.int64)
    curve = curve_of([(5, 100, 0), (20, 90, 1)], times, np.array([7, 8, 9]), instrument)
    assert curve.position.tolist() == [0, 1, 1]
    assert curve.equity.tolist() == [100, 90 + 8 * 10**9, 90 + 9 * 10**9]
