"""Runs over ticks: orders meet quotes and trades, one-sided quotes, bars among ticks, and what is no run."""

from collections.abc import Sequence

import pytest

from tests.trading.backtest.worlds import MINUTE_NS, T0, XYZ, Script, order
from trading.backtest.result import Result
from trading.backtest.series import BacktestError
from trading.backtest.terms import Terms
from trading.backtest.ticks import run_ticks
from trading.strategies.rows import Bar, Tick

SECOND_NS = 10**9


def trade(second: int, price: int, qty: int = 100) -> Tick:
    return Tick(XYZ.id, T0 + second * SECOND_NS, price, qty, second)


def quote(second: int, bid: int | None, ask: int | None, qty: int = 100) -> Tick:
    return Tick(XYZ.id, T0 + second * SECOND_NS, bid=bid, bid_qty=qty, ask=ask, ask_qty=qty)


def bar(close: int, minute: int = 0) -> Bar:
    start = T0 + minute * MINUTE_NS
    return Bar(XYZ.id, start, start + MINUTE_NS, close, close, close, close, 10)


def go(script: Script, messages: Sequence[Tick | Bar]) -> Result:
    return run_ticks(script, "script", messages, XYZ, Terms(half_spread=2))


def fills(result: Result) -> list[tuple[int, int, int]]:
    """Return (second, signed quantity, price) of each fill."""
    return [
        ((fill.ts_ns - T0) // SECOND_NS, fill.qty if fill.side == "buy" else -fill.qty, fill.price)
        for fill in result.fills
    ]


def test_a_taker_pays_the_shown_quote_and_waits_for_more_of_it() -> None:
    result = go(Script({0: order(150)}), [quote(0, 99, 101), quote(1, 100, 102), quote(2, 100, 102)])
    assert fills(result) == [(0, 100, 101), (1, 50, 102)]


def test_a_quote_of_one_side_leaves_the_other_as_it_was() -> None:
    script = Script({1: order(10), 2: order(-10)})
    result = go(script, [quote(0, 99, 101), quote(1, None, 103), quote(2, 100, None), quote(3, 100, 103)])
    assert fills(result) == [(1, 10, 103), (2, -10, 100)]
    assert result.curve.mark.tolist() == [100, 101]


def test_without_quotes_the_last_trade_stands_with_the_assumed_spread() -> None:
    result = go(Script({0: order(10), 1: order(-10)}), [trade(0, 100), trade(1, 110)])
    assert fills(result) == [(0, 10, 102), (1, -10, 108)]


def test_a_resting_limit_fills_against_trades_through_it() -> None:
    messages = [quote(0, 99, 101), trade(1, 99, 4), trade(2, 98, 4), trade(3, 100, 50)]
    assert fills(go(Script({0: order(10, limit=98)}), messages)) == [(2, 4, 98)]


def test_bars_among_ticks_are_told_and_mark_the_equity() -> None:
    script = Script({0: order(10)})
    result = go(script, [quote(0, 99, 101), bar(100), quote(60, 104, 106), bar(105, minute=1)])
    assert fills(result) == [(0, 10, 101), (60, 10, 101)]
    assert [bar.close for bar in script.bars] == [100, 105]
    assert result.curve.ts_ns.tolist() == [T0 + MINUTE_NS, T0 + 2 * MINUTE_NS]
    assert int(result.curve.equity[-1]) == 1_000_000 * 10**9 + 20 * (105 - 101) * 10**7


def test_no_order_passes_before_the_first_price() -> None:
    result = go(Script({0: order(10)}), [quote(0, 99, None), quote(1, 99, 101)])
    assert [refusal.code for refusal in result.refusals] == ["PRICE_MISSING"]
    assert result.fills == []


def test_messages_that_go_back_in_time_or_hold_no_price_are_refused() -> None:
    with pytest.raises(BacktestError, match="came after"):
        go(Script({}), [trade(1, 100), trade(0, 100)])
    for nothing in ([], [quote(0, 99, None)]):
        with pytest.raises(BacktestError, match="nothing to run on"):
            go(Script({}), nothing)
