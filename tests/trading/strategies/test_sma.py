from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.backtest.worlds import XYZ
from tests.trading.strategies.closes import positions
from trading.strategies.rows import Bar
from trading.strategies.runner import Runner
from trading.strategies.sma import SmaCross, SmaParameters


def wanted(closes: list[int], fast: int, slow: int, *, short: bool) -> list[int]:
    """Return the position that the averages, taken as fractions, ask for."""
    held, now = [], 0
    for n in range(len(closes)):
        if n + 1 >= slow:
            ahead = Fraction(sum(closes[n + 1 - fast : n + 1]), fast) - Fraction(
                sum(closes[n + 1 - slow : n + 1]), slow
            )
            now = 5 if ahead > 0 else ((-5 if short else 0) if ahead < 0 else now)
        held.append(now)
    return held


@given(
    st.lists(st.integers(95, 105), max_size=60),
    st.integers(1, 5).flatmap(lambda fast: st.tuples(st.just(fast), st.integers(fast + 1, 9))),
    st.booleans(),
)
def test_the_position_is_what_the_exact_averages_ask_for(
    closes: list[int], lengths: tuple[int, int], short: bool
) -> None:
    fast, slow = lengths
    strategy = SmaCross(SmaParameters(instrument=XYZ.id, fast=fast, slow=slow, qty="5", short=short))
    assert positions(strategy, closes) == wanted(closes, fast, slow, short=short)


@pytest.mark.parametrize(("fast", "slow"), [(0, 5), (5, 5), (6, 5)])
def test_lengths_that_cannot_cross_are_refused(fast: int, slow: int) -> None:
    with pytest.raises(ValueError, match="below slow"):
        SmaParameters(instrument=XYZ.id, fast=fast, slow=slow)


def test_bars_of_other_instruments_change_nothing() -> None:
    from tests.trading.orders.builders import ABC, TABLE

    runner = Runner(SmaCross(SmaParameters(instrument=ABC.id, fast=1, slow=2)), "s", "a", TABLE)
    runner.start(0)
    other = [Bar("XYZ.SIM", n, n + 1, n + 1, n + 1, n + 1, n + 1, 1) for n in range(5)]
    assert [command for bar in other for command in runner.bar(bar)] == []
