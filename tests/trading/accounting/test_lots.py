"""Lots: exact identities under every method, and a slow oracle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.accounting.lots import LotBook, Method, average_fill

METHODS: tuple[Method, ...] = ("fifo", "lifo", "average")
Fill = tuple[int, int]
fills = st.lists(st.tuples(st.integers(-50, 50).filter(bool), st.integers(1, 10**6)), max_size=40)


def book(method: Method, history: list[Fill]) -> LotBook:
    made = LotBook(method)
    for n, (qty, price) in enumerate(history):
        made.fill(n, f"f{n}", qty, qty * price)
    return made


def unit_oracle(method: Method, history: list[Fill]) -> int:
    """Match unit by unit; exact while each unit of a fill costs the same."""
    units: list[tuple[int, int]] = []
    gain = 0
    for qty, price in history:
        side = 1 if qty > 0 else -1
        for _ in range(abs(qty)):
            if units and units[0][0] != side:
                _, cost = units.pop(0 if method == "fifo" else -1)
                gain += (price - cost) * -side
            else:
                units.append((side, price))
    return gain


@given(fills)
def test_fifo_and_lifo_equal_the_oracle_unit_by_unit(history: list[Fill]) -> None:
    for method in METHODS[:2]:
        assert book(method, history).realised == unit_oracle(method, history)


@given(fills)
def test_cost_less_gain_is_the_cash_paid_whatever_the_method(history: list[Fill]) -> None:
    paid = sum(qty * price for qty, price in history)
    held = sum(qty for qty, _ in history)
    for method in METHODS:
        made = book(method, history)
        assert (made.qty, made.cost - made.realised) == (held, paid)
        assert all(lot.qty for lot in made.lots)
        assert len({lot.qty > 0 for lot in made.lots}) <= 1


@given(fills)
def test_the_running_average_equals_the_average_book(history: list[Fill]) -> None:
    qty = cost = gain = 0
    for fill_qty, price in history:
        qty, cost, more = average_fill(qty, cost, fill_qty, fill_qty * price)
        gain += more
    made = book("average", history)
    assert (made.qty, made.cost, made.realised) == (qty, cost, gain)


@given(fills)
def test_what_is_closed_sums_to_the_gain(history: list[Fill]) -> None:
    for method in METHODS:
        made, total = LotBook(method), 0
        for n, (qty, price) in enumerate(history):
            closed = made.fill(n, str(n), qty, qty * price + n % 3)
            total += sum(part.gain for part in closed)
            assert all(part.closed_by == str(n) and part.qty for part in closed)
        assert made.realised == total


@pytest.mark.parametrize(("method", "gain"), [("fifo", 20), ("lifo", 10), ("average", 15)])
def test_an_example(method: Method, gain: int) -> None:
    made = book(method, [(1, 100), (1, 110), (-1, 120)])
    assert made.realised == gain


def test_a_fill_through_zero_opens_the_other_side() -> None:
    made = book("fifo", [(5, 100), (-8, 110)])
    assert (made.qty, made.cost, made.realised) == (-3, -330, 50)
