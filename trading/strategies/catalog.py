"""The strategies by name, and their parameters from plain values."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from trading.strategies.protocol import Strategy
from trading.strategies.reversion import MeanReversion, ReversionParameters
from trading.strategies.sma import SmaCross, SmaParameters

_Maker = Callable[[Any], Strategy]
STRATEGIES: Mapping[str, tuple[type[msgspec.Struct], _Maker]] = {
    "sma": (SmaParameters, SmaCross),
    "reversion": (ReversionParameters, MeanReversion),
}


class StrategyError(ValueError):
    """A strategy that cannot be made. `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def make_strategy(name: str, parameters: Mapping[str, Any]) -> Strategy:
    """Return a fresh strategy; raise `StrategyError` STRATEGY_UNKNOWN or PARAMETERS_INVALID."""
    if name not in STRATEGIES:
        raise StrategyError("STRATEGY_UNKNOWN", f"there is no strategy {name!r}; known are {', '.join(STRATEGIES)}")
    struct, maker = STRATEGIES[name]
    unknown = set(parameters) - set(struct.__struct_fields__)
    if unknown:
        raise StrategyError("PARAMETERS_INVALID", f"{name} has no parameter {sorted(unknown)[0]!r}")
    try:
        return maker(msgspec.convert(dict(parameters), struct))
    except msgspec.ValidationError as error:
        raise StrategyError("PARAMETERS_INVALID", f"{name}: {error}") from None
