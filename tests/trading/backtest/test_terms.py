from typing import Any

import numpy as np
import pytest

from tests.trading.backtest.worlds import T0, XYZ, Script, order
from trading.backtest.terms import SCENARIOS, RecordedLatency, Terms, assumed_model, default_limits, recorded_latency
from trading.backtest.ticks import run_ticks
from trading.commands import AnyCommand, VenueAccepted, VenueCanceled, VenueRejected, VenueReplaced
from trading.orders.idempotency import order_id
from trading.risk.limits import Limits
from trading.risk.var import HORIZON_DAYS
from trading.routing.models import Models
from trading.strategies.rows import Tick

SECOND_NS = 10**9


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


def test_the_first_answer_to_each_request_says_when_it_arrived() -> None:
    def said(kind: Any, order: str, seen_ns: int, **more: str) -> AnyCommand:
        report: AnyCommand = kind(account="a", ts_ns=0, order=order, seen_ns=seen_ns, **more)
        return report

    commands = [
        said(VenueAccepted, "x", 10),
        said(VenueAccepted, "x", 20),
        said(VenueRejected, "y", 30),
        said(VenueReplaced, "x", 40, new_order="z"),
        said(VenueCanceled, "i", 50, reason="IOC"),
        said(VenueCanceled, "z", 60),
    ]
    model = recorded_latency(commands)
    assert model.arrivals == {("x", "new"): 11, ("y", "new"): 31, ("z", "replace"): 41, ("z", "cancel"): 61}
    assert model.arrival_ns("x", "new", 5) == 11
    assert model.arrival_ns("x", "new", 15) == model.arrival_ns("unknown", "new", 15) == 15


def test_a_request_meets_the_quote_that_it_met_live() -> None:
    def quotes() -> list[Tick]:
        return [Tick(XYZ.id, T0 + n * SECOND_NS, bid=100 + n, bid_qty=9, ask=102 + n, ask_qty=9) for n in range(5)]

    first = run_ticks(Script({0: order(1)}), "script", quotes(), XYZ)
    id_ = first.orders[0].order
    assert id_ == order_id("backtest", first.orders[0].client_order_id)
    late = RecordedLatency({(id_, "new"): T0 + 2 * SECOND_NS + 1})
    result = run_ticks(Script({0: order(1)}), "script", quotes(), XYZ, Terms(models=Models(latency=late)))
    assert [fill.price for fill in first.fills] == [102]
    assert [(fill.price, fill.ts_ns) for fill in result.fills] == [(104, T0 + 2 * SECOND_NS + 1)]
