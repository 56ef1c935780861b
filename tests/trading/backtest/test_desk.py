"""The desk of a run: an account that cannot be opened, a strategy without an end, the sessions of an exchange."""

import pytest

from tests.trading.backtest.worlds import T0, XYZ, Script, flat, order, series
from trading.backtest.conventions import SameClose
from trading.backtest.desk import MAX_TURNS, next_close_ns
from trading.backtest.engine import run_bars
from trading.backtest.series import BacktestError
from trading.backtest.terms import Terms
from trading.instruments import Instrument
from trading.strategies.context import Context

DAY_NS = 86_400 * 10**9
NYS = Instrument(symbol="NYS", venue="US", calendar="XNYS")


@pytest.mark.parametrize(("cash", "code"), [("-5", "CASH_MISSING"), ("much", "AMOUNT_NOT_A_NUMBER")])
def test_an_account_that_cannot_be_opened_says_why(cash: str, code: str) -> None:
    with pytest.raises(BacktestError) as caught:
        run_bars(Script({}), "script", series(flat([100])), XYZ, Terms(cash=cash))
    assert caught.value.code == code


def test_a_strategy_that_answers_each_of_its_fills_is_stopped() -> None:
    back = [1]

    def again(context: Context) -> None:
        back[0] = -back[0]
        context.submit(XYZ.id, back[0])

    script = Script({0: order(1)}, at_fill=again)
    with pytest.raises(BacktestError, match=f"more than {MAX_TURNS} answers") as caught:
        run_bars(script, "script", series(flat([100] * 2, 10**9)), XYZ, Terms(convention=SameClose()))
    assert caught.value.code == "STRATEGY_LOOP"


def test_the_close_of_a_session_is_the_next_one() -> None:
    # 2024-01-01 is a holiday; the next session closes on the 2nd at 21:00 UTC.
    close = next_close_ns("XNYS", T0)
    assert close == T0 + DAY_NS + 21 * 3_600 * 10**9
    assert next_close_ns("XNYS", close) == close + DAY_NS


def test_a_day_order_of_an_exchange_ends_with_its_session() -> None:
    script = Script({0: lambda context: context.submit(NYS.id, 1, limit=50, tif="day")})
    bars = series(flat([100] * 3), NYS, gap_ns=DAY_NS)
    result = run_bars(script, "script", bars, NYS, Terms())
    assert result.orders[0].expire_ts_ns == next_close_ns("XNYS", int(bars.ts_ns[0]))
