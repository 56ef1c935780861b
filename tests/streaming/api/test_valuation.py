"""What is shown of an account adds up, with prices and without."""

from streaming.api.valuation import worth
from tests.trading.orders.builders import T0, ack, desk, fill, market, step, submit
from trading.orders.state import State
from trading.risk.market import MarketView


def world() -> State:
    state = desk("a")
    step(state, submit("c1"))
    step(state, ack("c1"))
    step(state, fill("t1", "c1", qty="10", price="99"))
    step(state, submit("c2", side="sell", qty="30", limit_price="101"))
    return state


def test_equity_is_cash_plus_what_is_held() -> None:
    account = world().accounts["a"]
    sums = worth(account, market(T0))
    cash = 10**9
    assert (sums.cash, sums.long, sums.short) == (999_010 * cash, 1_000 * cash, 0)
    assert sums.equity == 1_000_010 * cash
    assert sums.held == 1_000 * cash
    # 30 sold at 101 would leave 20 short: more than what is held now.
    assert sums.gross == 2_030 * cash
    assert sums.buying_power == 2 * sums.equity - sums.gross


def test_without_a_price_the_cost_stands_in() -> None:
    account = world().accounts["a"]
    view = market(T0)
    assert worth(account, MarketView(view.instruments)).equity == 10**15
