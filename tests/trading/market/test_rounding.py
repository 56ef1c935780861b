import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trading.amounts import round_to_scale
from trading.market.batches import ABSENT
from trading.market.rounding import MAX_AMOUNT, to_integers


def looks_real() -> st.SearchStrategy[float]:
    """Floats as feeds send them: few decimals, noise in the last place, ties of the scale."""
    decimals = st.builds(lambda whole, places: whole / 10.0**places, st.integers(-(10**9), 10**9), st.integers(0, 9))
    noisy = st.builds(lambda value, steps: float(value + steps * np.spacing(value)), decimals, st.integers(-3, 3))
    return st.one_of(decimals, noisy, st.floats(-1e6, 1e6))


@settings(max_examples=500)
@given(st.lists(looks_real(), min_size=1, max_size=20), st.integers(0, 9))
@example([0.00005, 1.00005, 13.940000000000001, 2.5, 3.5, -2.5], 4)
def test_equal_to_the_exact_decimal_rounding(values: list[float], scale: int) -> None:
    wanted = [round_to_scale(value, scale) for value in values]
    factor = 10.0**scale
    found = to_integers(np.array(values), factor).tolist()
    assert found == [amount if abs(amount) <= MAX_AMOUNT else ABSENT for amount in wanted]
    assert to_integers(np.array(values), np.full(len(values), factor)).tolist() == found


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e300, 2.0**54])
def test_what_is_no_amount_is_absent(value: float) -> None:
    assert to_integers(np.array([1.0, value]), 1.0).tolist() == [1, ABSENT]


def test_no_values() -> None:
    assert to_integers(np.zeros(0), 100.0).tolist() == []
