from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.amounts import (
    CASH_SCALE,
    INT64_MAX,
    AmountError,
    divide_half_even,
    notional,
    parse_exact,
    parse_positive,
    round_to_scale,
    to_decimal,
    to_text,
)

AMOUNTS = st.integers(-INT64_MAX, INT64_MAX)
SCALES = st.integers(0, 12)


@given(AMOUNTS, SCALES)
def test_text_and_amount_are_inverse(amount: int, scale: int) -> None:
    text = to_text(amount, scale)
    assert parse_exact(text, scale) == amount
    assert Decimal(text) == to_decimal(amount, scale)
    assert "e" not in text.lower()


@pytest.mark.parametrize(
    ("text", "scale", "amount"), [("1.50", 2, 150), ("-0.5", 1, -5), ("1e3", 0, 1_000), ("0", 9, 0), ("+7", 0, 7)]
)
def test_parse(text: str, scale: int, amount: int) -> None:
    assert parse_exact(text, scale) == amount


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("1.005", "NOT_A_MULTIPLE"),
        ("1." + "0" * 40 + "1", "NOT_A_MULTIPLE"),
        ("1." + "0" * 80 + "1", "NOT_A_MULTIPLE"),
        ("", "NOT_A_NUMBER"),
        ("1,5", "NOT_A_NUMBER"),
        ("\u0661", "NOT_A_NUMBER"),
        ("NaN", "NOT_FINITE"),
        ("-Infinity", "NOT_FINITE"),
        ("1e40", "OUT_OF_RANGE"),
        ("92233720368547758.08", "OUT_OF_RANGE"),
    ],
)
def test_what_is_no_amount_is_refused(text: str, code: str) -> None:
    with pytest.raises(AmountError) as caught:
        parse_exact(text, 2)
    assert caught.value.code == code


def test_what_must_be_positive_is() -> None:
    assert parse_positive("0.01", 2) == 1
    for text in ("0", "-1"):
        with pytest.raises(AmountError) as caught:
            parse_positive(text, 2)
        assert caught.value.code == "NOT_POSITIVE"


@pytest.mark.parametrize(
    ("value", "scale", "amount"),
    [
        (13.940000000000001, 4, 139_400),
        (0.00005, 4, 0),
        (0.00015, 4, 2),
        (-2.5, 0, -2),
        ("2.675", 2, 268),
        (1e-9, 2, 0),
    ],
)
def test_floats_round_half_even_by_their_shortest_text(value: float | str, scale: int, amount: int) -> None:
    assert round_to_scale(value, scale) == amount


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**20))
def test_division_rounds_half_even(numerator: int, denominator: int) -> None:
    quotient = divide_half_even(numerator, denominator)
    twice = abs(2 * (numerator - quotient * denominator))
    assert twice < denominator or (twice == denominator and quotient % 2 == 0)


@given(st.integers(0, 10**15), st.integers(0, 10**12), st.integers(0, 8), st.integers(0, 8))
def test_notional_is_the_exact_product_rounded_once(price: int, qty: int, price_scale: int, qty_scale: int) -> None:
    exact = (Decimal(price * qty).scaleb(-price_scale - qty_scale + CASH_SCALE)).to_integral_value(ROUND_HALF_EVEN)
    assert notional(price, qty, price_scale, qty_scale) == int(exact)
