"""Exact amounts. Prices and quantities are integers in the instrument's scale, cash is an integer of 1e-9.

This is the only place where a decimal becomes an integer or an integer a decimal. Ties round half to even.
"""

from decimal import ROUND_HALF_EVEN, Decimal, Inexact, InvalidOperation, localcontext

CASH_SCALE = 9
MAX_SCALE = 12
INT64_MAX = 2**63 - 1
# Enough digits for every int64 in every scale, so that no operation below rounds before it is told to.
PRECISION = 60


class AmountError(ValueError):
    """A text or number that is not an amount in the given scale. `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def parse_exact(text: str, scale: int) -> int:
    """Return the decimal `text` as an integer of 10**-scale; refuse what the scale cannot hold exactly."""
    # Plain digits, the usual case, need no Decimal; 18 of them fit int64 before and are bounded after scaling.
    if len(text) <= 18 and text.isascii():
        if text.isdigit():
            return _bounded(int(text) * 10**scale, text)
        whole, _, part = text.partition(".")
        if whole.isdigit() and part.isdigit() and len(part) <= scale:
            return _bounded(int(whole + part) * 10 ** (scale - len(part)), text)
    with localcontext() as ctx:
        ctx.prec = PRECISION
        ctx.traps[Inexact] = True
        try:
            amount = _decimal(text).scaleb(scale).to_integral_exact()
        except Inexact:
            raise AmountError("NOT_A_MULTIPLE", f"{text!r} has more than {scale} decimals") from None
    return _bounded(int(amount), text)


def parse_positive(text: str, scale: int) -> int:
    """Return the decimal `text` as `parse_exact` does; refuse zero and below."""
    amount = parse_exact(text, scale)
    if amount <= 0:
        raise AmountError("NOT_POSITIVE", f"{text!r} is not above zero")
    return amount


def round_to_scale(value: float | str, scale: int) -> int:
    """Return `value` rounded half to even as an integer of 10**-scale. A float is read by its shortest repr."""
    with localcontext() as ctx:
        ctx.prec = PRECISION
        amount = _decimal(repr(value) if isinstance(value, float) else value)
        rounded = amount.scaleb(scale).to_integral_value(rounding=ROUND_HALF_EVEN)
    return _bounded(int(rounded), str(value))


def to_decimal(amount: int, scale: int) -> Decimal:
    """Return the exact decimal value of an integer amount."""
    return Decimal(amount).scaleb(-scale)


def to_text(amount: int, scale: int) -> str:
    """Return an amount as a plain decimal string without exponent or trailing zeros, as JSON carries it."""
    if scale == 0:
        return str(amount)
    sign, digits = ("-", -amount) if amount < 0 else ("", amount)
    whole, part = divmod(digits, 10**scale)
    fraction = str(part).rjust(scale, "0").rstrip("0")
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def divide_half_even(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded half to even. The denominator is positive."""
    assert denominator > 0, "a scale factor is positive"
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and quotient % 2):
        quotient += 1
    return quotient


def notional(price: int, qty: int, price_scale: int, qty_scale: int) -> int:
    """Return price x quantity as cash (1e-9), rounded half to even."""
    product = price * qty
    shift = CASH_SCALE - price_scale - qty_scale
    return product * 10**shift if shift >= 0 else divide_half_even(product, 10**-shift)


def _decimal(text: str) -> Decimal:
    if not text.isascii():
        raise AmountError("NOT_A_NUMBER", f"{text!r} is not a decimal number")
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise AmountError("NOT_A_NUMBER", f"{text!r} is not a decimal number") from None
    if not amount.is_finite():
        raise AmountError("NOT_FINITE", f"{text!r} is not finite")
    if amount and amount.adjusted() > 18:
        raise AmountError("OUT_OF_RANGE", f"{text!r} does not fit 64 bits")
    return amount


def _bounded(amount: int, text: str) -> int:
    if not -INT64_MAX <= amount <= INT64_MAX:
        raise AmountError("OUT_OF_RANGE", f"{text!r} does not fit 64 bits")
    return amount
