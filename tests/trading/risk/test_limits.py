"""Limits are compiled whole or refused."""

import msgspec
import pytest

from tests.trading.orders.builders import ABC, XYZ, limits_body
from trading.commands import InstrumentLimits, LimitsBody
from trading.risk.limits import Limits, LimitsError


@pytest.mark.parametrize("field", ["max_order_qty", "max_order_value", "max_position_qty", "max_var"])
@pytest.mark.parametrize("bad", ["-1", "x", "NaN", "1000000001"])
def test_a_bad_amount_names_its_field(field: str, bad: str) -> None:
    with pytest.raises(LimitsError, match=field):
        Limits(1, limits_body(**{field: bad}))


def test_no_limit_has_a_default() -> None:
    whole = msgspec.to_builtins(limits_body())
    for field in whole:
        if field == "instruments":
            continue
        with pytest.raises(msgspec.ValidationError, match=field):
            msgspec.convert({name: value for name, value in whole.items() if name != field}, LimitsBody)
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert(whole | {"extra": 1}, LimitsBody)


def test_an_instrument_may_have_its_own_and_each_has_its_scale() -> None:
    own = InstrumentLimits(max_order_qty="0.5", max_position_qty="2")
    limits = Limits(1, limits_body(instruments={ABC.id: own}))
    assert (limits.of(ABC, ABC.id).max_order_qty, limits.of(ABC, ABC.id).max_position_qty) == (5 * 10**7, 2 * 10**8)
    assert (limits.of(XYZ, XYZ.id).max_order_qty, limits.of(XYZ, XYZ.id).max_order_raw) == (1_000, 10**7)
    with pytest.raises(LimitsError, match=r"instruments\.XYZ"):
        Limits(1, limits_body(instruments={"XYZ": InstrumentLimits(max_order_qty="-1", max_position_qty="1")}))
