import numpy as np
import pytest

from trading.backtest.terms import SCENARIOS, Terms, assumed_model, default_limits
from trading.risk.limits import Limits
from trading.risk.var import HORIZON_DAYS


def test_the_assumed_volatility_is_that_of_the_model() -> None:
    model = assumed_model("XYZ.SIM", 20_000)
    assert model.names == ("XYZ.SIM",)
    assert (model.cov[0][0] / 1e12 / HORIZON_DAYS) ** 0.5 == pytest.approx(0.02, rel=0.01)
    assert model.returns.shape == (1, SCENARIOS)
    assert abs(int(np.sum(model.returns))) <= SCENARIOS


def test_default_limits_compile_and_follow_the_cash() -> None:
    limits = Limits(1, default_limits("2500"))
    assert limits.max_order_value == 2_500 * 10**9
    assert Terms().limits is None
