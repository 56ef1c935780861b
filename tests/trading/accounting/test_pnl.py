"""Profit: realised + unrealised = cash flow + market value."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from trading.accounting.lots import average_fill
from trading.accounting.pnl import average_price, fill_cost, position_pnl

PRICE, QTY = st.integers(1, 10**9), st.integers(1, 10**12)


@given(st.lists(st.tuples(st.sampled_from([1, -1]), PRICE, QTY), max_size=20), PRICE)
def test_the_identity(history: list[tuple[int, int, int]], mark: int) -> None:
    qty = cost = gain = flow = 0
    for side, price, size in history:
        paid = fill_cost(side, price, size, 5, 8)
        flow -= paid
        qty, cost, more = average_fill(qty, cost, side * size, paid)
        gain += more
    pnl = position_pnl(qty, cost, gain, 7, mark, 5, 8)
    assert pnl.realised + pnl.unrealised == flow + pnl.market_value
    assert pnl.net == flow + pnl.market_value - 7


@given(st.sampled_from([1, -1]), PRICE, QTY)
def test_cost_is_symmetric_and_rounded_half_even(side: int, price: int, qty: int) -> None:
    cost = fill_cost(side, price, qty, 5, 8)
    assert cost == side * fill_cost(1, price, qty, 5, 8)
    assert abs(cost * 10**4 - side * price * qty) <= 5_000


def test_average_price() -> None:
    assert average_price(0, 0, 8, 2) == 0
    assert average_price(2 * 10**8, 3 * 10**9, 8, 2) == 1_500_000_000
    assert average_price(-2, -300 * 10**9, 0, 2) == 150 * 10**9
    assert average_price(3, 100 * 10**9, 0, 2) == 33_333_333_333


@given(st.sampled_from([1, -1]), st.integers(1, 10**8), st.integers(10**5, 10**12), st.sampled_from([(2, 8), (5, 8)]))
def test_the_average_of_one_fill_is_its_price(side: int, price: int, qty: int, scales: tuple[int, int]) -> None:
    price_scale, qty_scale = scales
    cost = fill_cost(side, price, qty, price_scale, qty_scale)
    assert average_price(side * qty, cost, qty_scale, price_scale) == price * 10 ** (9 - price_scale)


@given(st.lists(st.tuples(st.integers(1, 10**8), st.integers(10**4, 10**12)), min_size=2, max_size=20))
def test_an_average_is_exact_to_the_decimals_that_it_shows(fills: list[tuple[int, int]]) -> None:
    qty, cost = sum(size for _, size in fills), sum(fill_cost(1, price, size, 2, 8) for price, size in fills)
    exact = Fraction(sum(price * size for price, size in fills), qty) / 100
    shown = Fraction(average_price(qty, cost, 8, 2), 10**9)
    assert abs(shown - exact) <= Fraction(1, 10**9) + Fraction(100 * 10**8, qty * 10**9)
