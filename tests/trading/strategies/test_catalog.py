from typing import Any

import pytest

from trading.strategies.catalog import STRATEGIES, StrategyError, make_strategy
from trading.strategies.reversion import MeanReversion
from trading.strategies.sma import SmaCross


def test_each_name_makes_its_strategy_with_its_parameters() -> None:
    sma = make_strategy("sma", {"instrument": "X.SIM", "fast": 2, "slow": 5})
    assert isinstance(sma, SmaCross)
    assert (sma.parameters.fast, sma.parameters.slow) == (2, 5)
    assert isinstance(make_strategy("reversion", {"instrument": "X.SIM"}), MeanReversion)
    assert set(STRATEGIES) == {"sma", "reversion"}


@pytest.mark.parametrize(
    ("name", "parameters", "code", "words"),
    [
        ("nope", {}, "STRATEGY_UNKNOWN", "known are sma, reversion"),
        ("sma", {}, "PARAMETERS_INVALID", "instrument"),
        ("sma", {"instrument": "X.SIM", "speed": 1}, "PARAMETERS_INVALID", "no parameter 'speed'"),
        ("sma", {"instrument": "X.SIM", "fast": "x"}, "PARAMETERS_INVALID", "fast"),
        ("sma", {"instrument": "X.SIM", "fast": 30, "slow": 30}, "PARAMETERS_INVALID", "below slow"),
        ("reversion", {"instrument": "X.SIM", "window": 1}, "PARAMETERS_INVALID", "window"),
    ],
)
def test_a_mistake_has_a_code_and_names_itself(name: str, parameters: dict[str, Any], code: str, words: str) -> None:
    with pytest.raises(StrategyError, match=words) as caught:
        make_strategy(name, parameters)
    assert caught.value.code == code
