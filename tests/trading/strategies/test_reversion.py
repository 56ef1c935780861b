from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.backtest.worlds import XYZ
from tests.trading.strategies.closes import positions
from trading.strategies.reversion import MeanReversion, ReversionParameters


def wanted(closes: list[int], window: int, entry: Fraction, *, short: bool) -> list[int]:
    """Return the position by mean and variance as fractions."""
    held, now = [], 0
    for n, close in enumerate(closes):
        part = closes[n + 1 - window : n + 1] if n + 1 >= window else []
        if part:
            mean = Fraction(sum(part), window)
            variance = sum((Fraction(c) - mean) ** 2 for c in part) / window
            if now:
                now = 0 if (close - mean) * now >= 0 else now
            elif (close - mean) ** 2 > entry**2 * variance:
                now = 3 if close < mean else (-3 if short else 0)
        held.append(now)
    return held


@given(st.lists(st.integers(90, 110), max_size=60), st.integers(2, 8), st.integers(20, 250), st.booleans())
def test_the_position_is_what_mean_and_variance_ask_for(
    closes: list[int], window: int, entry: int, short: bool
) -> None:
    parameters = ReversionParameters(instrument=XYZ.id, window=window, entry_z_hundredths=entry, qty="3", short=short)
    assert positions(MeanReversion(parameters), closes) == wanted(closes, window, Fraction(entry, 100), short=short)


def test_it_buys_the_fall_and_sells_the_return() -> None:
    strategy = MeanReversion(ReversionParameters(instrument=XYZ.id, window=4, entry_z_hundredths=150, qty="3"))
    assert positions(strategy, [100, 101, 100, 90, 95, 99]) == [0, 0, 0, 3, 3, 0]


@pytest.mark.parametrize(("window", "entry"), [(1, 200), (20, 0)])
def test_parameters_without_a_meaning_are_refused(window: int, entry: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        ReversionParameters(instrument=XYZ.id, window=window, entry_z_hundredths=entry)
