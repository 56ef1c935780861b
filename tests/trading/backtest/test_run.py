"""How orders meet bars: market, limit, stop, cancel, expiry, volume, fees, and what the strategy hears and when."""

import pytest

from tests.trading.backtest.worlds import MINUTE_NS, T0, XYZ, Row, Script, flat, order, series
from trading.backtest.conventions import BidAsk, Convention, NextOpen, SameClose
from trading.backtest.engine import run_bars
from trading.backtest.result import Result
from trading.backtest.terms import Terms
from trading.routing.models import FixedLatency, Models, Participation, PpmFee, TickSlippage
from trading.strategies.context import Context

NEXT, SAME = NextOpen(), SameClose()
STAIR: list[Row] = [(100, 101, 99, 100, 50), (103, 106, 102, 105, 50), (104, 108, 95, 97, 50), (97, 99, 90, 92, 50)]


def go(script: Script, rows: list[Row], how: Convention = NEXT, **terms: object) -> Result:
    return run_bars(script, "script", series(rows, gap_ns=1), XYZ, Terms(convention=how, **terms))  # type: ignore[arg-type]  # a test's terms


def fills(result: Result) -> list[tuple[int, int, int]]:
    """Return (bar, signed quantity, price) of each fill."""
    return [
        ((fill.ts_ns - T0) // (MINUTE_NS + 1), fill.qty if fill.side == "buy" else -fill.qty, fill.price)
        for fill in result.fills
    ]


@pytest.mark.parametrize(("how", "expected"), [(NEXT, (1, 10, 103)), (SAME, (0, 10, 100)), (BidAsk(2), (0, 10, 102))])
def test_a_market_order_trades_where_its_convention_says(how: Convention, expected: tuple[int, int, int]) -> None:
    result = go(Script({0: order(10)}), STAIR, how)
    assert fills(result) == [expected]
    at = T0 + MINUTE_NS + 1 if expected[0] else T0 + MINUTE_NS
    assert result.fills[0].ts_ns == at


def test_the_last_bar_leaves_an_order_of_the_next_open_open() -> None:
    assert fills(go(Script({3: order(10)}), STAIR)) == []
    assert fills(go(Script({3: order(10)}), STAIR, SAME)) == [(3, 10, 92)]


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (order(10, limit=98), [(2, 10, 98)]),
        (order(10, limit=104), [(1, 10, 103)]),
        (order(-10, limit=107), [(2, -10, 107)]),
        (order(10, limit=80), []),
        (order(10, stop=105), [(1, 10, 105)]),
        (order(10, stop=102), [(1, 10, 103)]),
        (order(-10, stop=96), [(2, -10, 96)]),
        (order(10, stop=107, limit=107), [(2, 10, 107)]),
        (order(10, stop=107, limit=96), [(2, 10, 96)]),
    ],
)
def test_a_resting_order_trades_on_the_way_through_a_bar(act: object, expected: list[tuple[int, int, int]]) -> None:
    assert fills(go(Script({0: act}), STAIR)) == expected  # type: ignore[dict-item]  # an act of any result


def test_an_open_beyond_a_limit_fills_at_the_open() -> None:
    assert fills(go(Script({1: order(10, limit=98)}), [*STAIR[:2], (95, 97, 94, 96, 50)])) == [(2, 10, 95)]


def test_the_volume_of_a_bar_bounds_what_trades_in_it() -> None:
    rows = flat([100] * 4, volume=30)
    assert fills(go(Script({0: order(70)}), rows)) == [(1, 30, 100), (2, 30, 100), (3, 10, 100)]
    tenth = Models(fill=Participation(1_000))
    assert [row[1] for row in fills(go(Script({0: order(70)}), rows, models=tenth))] == [3, 3, 3]


def test_two_orders_share_the_volume_of_a_bar() -> None:
    script = Script({0: lambda context: [context.submit(XYZ.id, 20, limit=100), context.submit(XYZ.id, 20, limit=99)]})
    assert fills(go(script, [*flat([101]), (101, 101, 98, 98, 30)])) == [(1, 20, 100), (1, 10, 99)]


def test_a_cancel_stops_what_has_not_traded() -> None:
    ids: list[str] = []
    script = Script({0: lambda c: ids.append(c.submit(XYZ.id, 10, limit=98)), 1: lambda c: c.cancel(ids[0])})
    assert fills(go(script, STAIR)) == []
    assert script.net == []


def test_an_immediate_order_waits_for_the_open_and_no_longer() -> None:
    assert fills(go(Script({0: order(10, limit=103, tif="ioc")}), STAIR)) == [(1, 10, 103)]
    assert fills(go(Script({0: order(10, limit=102, tif="ioc")}), STAIR)) == []
    assert fills(go(Script({0: order(60, tif="fok")}), STAIR)) == []


def test_a_day_order_does_not_outlive_its_day() -> None:
    day_ns = 86_400 * 10**9
    bars = series(flat([100, 100, 90]), gap_ns=day_ns - MINUTE_NS)
    result = run_bars(Script({1: order(10, tif="day")}), "script", bars, XYZ, Terms())
    assert result.orders[0].expire_ts_ns == T0 + 2 * day_ns
    assert result.fills == []


def test_latency_moves_a_fill_into_the_bar_that_it_reaches() -> None:
    late = Models(latency=FixedLatency(30 * 10**9))
    assert fills(go(Script({0: order(10)}), STAIR, SAME, models=late)) == [(1, 10, 105)]
    later = Models(latency=FixedLatency(90 * 10**9))
    assert fills(go(Script({0: order(10)}), STAIR, NEXT, models=later)) == [(2, 10, 97)]


def test_slippage_and_fees_are_those_of_the_models() -> None:
    models = Models(slippage=TickSlippage(2), fees=PpmFee(taker_ppm=1_000))
    result = go(Script({0: order(10)}), STAIR, models=models)
    assert (result.fills[0].price, result.fees) == (105, 10 * 105 * 10**7 // 1_000)
    assert result.traded == 10 * 105 * 10**7


def test_the_strategy_hears_of_its_fill_before_the_bar_that_held_it() -> None:
    seen: list[tuple[int, int]] = []
    script = Script({0: order(10), 1: lambda c: seen.append((c.position(XYZ.id), c.net[XYZ.id]))})
    go(script, STAIR)
    assert seen == [(10, 10)]
    assert script.started_ns == T0


def test_an_answer_to_a_fill_meets_the_market_of_that_fill() -> None:
    def back(context: Context) -> None:
        if context.position(XYZ.id) > 0:
            context.submit(XYZ.id, -context.position(XYZ.id))

    assert fills(go(Script({0: order(10, limit=98)}, at_fill=back), STAIR)) == [(2, 10, 98), (2, -10, 98)]


def test_an_order_of_the_first_moment_is_refused_without_a_price() -> None:
    class Eager(Script):
        def on_start(self, context: Context) -> None:
            context.submit(XYZ.id, 1)

    result = go(Eager({}), STAIR)
    assert [refusal.code for refusal in result.refusals] == ["PRICE_MISSING"]
