"""The limits of an account in force, compiled to integers. What is missing, negative or malformed is refused."""

from trading.amounts import CASH_SCALE, AmountError, parse_exact
from trading.commands import LimitsBody
from trading.instruments import Instrument

MS = 10**6
# No order, position or balance may need more than a signed 64-bit integer of 1e-9: a billion is the ceiling.
MAX_CASH = 10**18


class LimitsError(ValueError):
    """A limit that cannot be put in force. `field` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


class InstrumentScale:
    """The limits of one instrument in its own scale. `raw` is price x quantity in the product of both scales."""

    __slots__ = ("max_order_qty", "max_order_raw", "max_position_qty")

    def __init__(self, max_order_qty: int, max_position_qty: int, max_order_raw: int) -> None:
        self.max_order_qty = max_order_qty
        self.max_position_qty = max_position_qty
        self.max_order_raw = max_order_raw


class Limits:
    """One version of the limits of an account."""

    __slots__ = (
        "_by_instrument",
        "_order_units",
        "_position_units",
        "ack_timeout_ns",
        "body",
        "max_order_value",
        "max_var_cents",
        "message_burst_ns",
        "message_gap_ns",
        "order_timeout_ns",
        "price_max_age_ns",
        "repeat_window_ns",
        "valuation_max_age_ns",
        "version",
    )

    def __init__(self, version: int, body: LimitsBody) -> None:
        """Compile a limits message; raise `LimitsError`."""
        self.version = version
        self.body = body
        self.max_order_value = _amount("max_order_value", body.max_order_value)
        self.max_var_cents = _amount("max_var", body.max_var) // 10**7
        self.price_max_age_ns = body.price_max_age_ms * MS
        self.valuation_max_age_ns = body.valuation_max_age_ms * MS
        self.repeat_window_ns = body.repeat_window_ms * MS
        self.ack_timeout_ns = body.ack_timeout_ms * MS
        self.order_timeout_ns = body.order_timeout_ms * MS
        # A token bucket as one time: each message moves it on by a gap, and it may run ahead of now by the burst.
        self.message_gap_ns = 10**9 // body.message_rate
        self.message_burst_ns = (body.message_burst - 1) * self.message_gap_ns
        self._order_units = {"": _amount("max_order_qty", body.max_order_qty)}
        self._position_units = {"": _amount("max_position_qty", body.max_position_qty)}
        for name, own in body.instruments.items():
            self._order_units[name] = _amount(f"instruments.{name}.max_order_qty", own.max_order_qty)
            self._position_units[name] = _amount(f"instruments.{name}.max_position_qty", own.max_position_qty)
        self._by_instrument: dict[str, InstrumentScale] = {}

    def of(self, instrument: Instrument, id_: str) -> InstrumentScale:
        """Return the limits of one instrument in its scale."""
        found = self._by_instrument.get(id_)
        if found is None:
            found = self._by_instrument[id_] = InstrumentScale(
                _scaled(self._order_units, instrument),
                _scaled(self._position_units, instrument),
                to_raw(self.max_order_value, *cash_factors(instrument.price_scale, instrument.qty_scale)),
            )
        return found


def cash_factors(price_scale: int, qty_scale: int) -> tuple[int, int]:
    """Return (mul, div) so that price x quantity x mul / div is cash in 1e-9."""
    shift = CASH_SCALE - price_scale - qty_scale
    return (10**shift, 1) if shift >= 0 else (1, 10**-shift)


def to_raw(cash: int, mul: int, div: int) -> int:
    """Return the largest price x quantity whose cash, rounded up, is at most `cash`."""
    return cash * div // mul


def _scaled(units: dict[str, int], instrument: Instrument) -> int:
    scaled: int = units.get(instrument.id, units[""]) * 10**instrument.qty_scale // 10**CASH_SCALE
    return scaled


def _amount(field: str, text: str) -> int:
    try:
        amount = parse_exact(text, CASH_SCALE)
    except AmountError as error:
        raise LimitsError(field, str(error)) from None
    if not 0 <= amount <= MAX_CASH:
        raise LimitsError(field, f"{text} is not between 0 and 1000000000")
    return amount
