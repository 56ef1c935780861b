"""The terms of a run: cash, limits, the models of the venue, and the risk parameters that the gate is given.

A run must not look ahead, so its risk parameters are an assumption: a fixed daily volatility, told in the result.

To repeat a live run over its ticks, `recorded_latency` takes the arrivals of its requests from the venue's reports,
which say what the newest tick was: each request arrives right behind that tick again, whatever was on the way then.
"""

from collections.abc import Iterable, Mapping

import msgspec
import numpy as np

from trading.amounts import to_decimal
from trading.backtest.conventions import Convention, NextOpen
from trading.commands import (
    AnyCommand,
    LimitsBody,
    VenueAccepted,
    VenueCanceled,
    VenueRejected,
    VenueReplaced,
)
from trading.risk.var import RiskModel, build_model
from trading.routing.models import Models

SCENARIOS = 250
ACTOR = "backtest"
Request = tuple[str, str]


class RecordedLatency(msgspec.Struct, frozen=True):
    """A latency model: (order id, verb) -> arrival. A request that the record does not know arrives at once."""

    arrivals: Mapping[Request, int]

    def arrival_ns(self, order: str, verb: str, ts_ns: int) -> int:
        """Return when the live request arrived, but not before it leaves."""
        return max(ts_ns, self.arrivals.get((order, verb), ts_ns))


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a run that is neither data nor strategy. `cash` is a decimal text."""

    cash: str = "1000000"
    account: str = "backtest"
    limits: LimitsBody | None = None
    convention: Convention = NextOpen()
    models: Models = Models()
    daily_volatility_ppm: int = 20_000
    half_spread: int = 1


def default_limits(cash: str) -> LimitsBody:
    """Return limits that keep the account unlevered and let everything else pass that it can pay for."""
    return LimitsBody(
        max_order_qty="1000000000",
        max_order_value=cash,
        max_position_qty="1000000000",
        max_var=cash,
        collar_bps=500,
        concentration_bps=10_000,
        margin_bps=10_000,
        max_open_orders=1_000,
        message_rate=1_000,
        message_burst=1_000,
        repeat_count=1_000,
        repeat_window_ms=1_000,
        price_max_age_ms=86_400_000,
        valuation_max_age_ms=2_592_000_000,
        ack_timeout_ms=3_600_000,
        order_timeout_ms=0,
        short_allowed=True,
    )


def assumed_model(instrument: str, daily_volatility_ppm: int) -> RiskModel:
    """Return the risk model of one instrument with even returns of this standard deviation a day (1e-6)."""
    # The standard deviation of an even spread over [-w, w] is w / sqrt(3).
    width = float(to_decimal(daily_volatility_ppm, 6)) * 3**0.5
    return build_model(1, [instrument], np.linspace(-width, width, SCENARIOS)[:, None])


def recorded_latency(commands: Iterable[AnyCommand]) -> RecordedLatency:
    """Return the arrivals that a topic of commands tells of: the first answer to each request counts."""
    arrivals: dict[Request, int] = {}
    for command in commands:
        request = _answered(command)
        if request is not None:
            arrivals.setdefault(request, getattr(command, "seen_ns", 0) + 1)
    return RecordedLatency(arrivals)


def _answered(command: AnyCommand) -> Request | None:
    if isinstance(command, VenueAccepted):
        return command.order, "new"
    if isinstance(command, VenueRejected):
        return command.order, command.request
    if isinstance(command, VenueReplaced):
        return command.new_order, "replace"
    if isinstance(command, VenueCanceled) and not command.reason:
        return command.order, "cancel"
    return None
