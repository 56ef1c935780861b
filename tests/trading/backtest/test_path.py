import msgspec

from tests.trading.backtest.worlds import XYZ
from trading.backtest.path import legs, stations
from trading.events import OrderAccepted, RiskInputs
from trading.routing.book import PaperOrder
from trading.strategies.rows import Bar


def bar(open_: int, high: int, low: int, close: int) -> Bar:
    return Bar(XYZ.id, 0, 1, open_, high, low, close, 10)


def order(limit: int | None = None, stop: int | None = None) -> PaperOrder:
    inputs = RiskInputs(100, 0, 1, 1, 0, 0)
    intent = OrderAccepted("a", 0, "o", "c", XYZ.id, "buy", "limit", "gtc", 1, 100, "r", inputs, 2, 0)
    return PaperOrder(msgspec.structs.replace(intent, limit_price=limit, stop_price=stop), 1, 1)


def test_the_nearer_extreme_comes_first() -> None:
    assert legs(bar(100, 103, 90, 95)) == ((100, 103), (103, 90), (90, 95))
    assert legs(bar(100, 110, 99, 95)) == ((100, 99), (99, 110), (110, 95))


def test_own_prices_on_the_way_are_visited_in_its_order() -> None:
    orders = [order(limit=95), order(stop=98, limit=97), order(limit=90), order(limit=101), order()]
    assert stations(orders, 100, 90) == [98, 97, 95, 90]
    assert stations(orders, 90, 100) == [95, 97, 98, 100]
    assert stations([], 5, 5) == [5]
