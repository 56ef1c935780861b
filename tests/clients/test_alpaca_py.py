"""alpaca-py, unmodified: everything that its TradingClient asks of a broker."""

import json
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderClass, OrderSide, OrderStatus, QueryOrderStatus, TimeInForce
from alpaca.trading.models import (
    AccountConfiguration,
    Asset,
    Calendar,
    Clock,
    ClosePositionResponse,
    Order,
    PortfolioHistory,
    Position,
    TradeAccount,
)
from alpaca.trading.requests import (
    CancelOrderResponse,
    ClosePositionRequest,
    GetAssetsRequest,
    GetOrdersRequest,
    GetPortfolioHistoryRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    OrderRequest,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopOrderRequest,
    TrailingStopOrderRequest,
)

from tests.api_rig import KEYS, Served

BUY, SELL = OrderSide.BUY, OrderSide.SELL
GTC = TimeInForce.GTC


def client_of(served: Served, name: str = "a") -> TradingClient:
    key = KEYS[name]
    return TradingClient(key.key_id, key.secret, url_override=f"http://{served.address}")


@pytest.fixture
def client(served: Served) -> TradingClient:
    return client_of(served)


def submitted(client: TradingClient, request: OrderRequest) -> Order:
    order = client.submit_order(request)
    assert isinstance(order, Order)
    return order


def limit(qty: float = 0.01, price: float = 49_000, **more: Any) -> LimitOrderRequest:
    fields = {"symbol": "BTC/USD", "qty": qty, "side": BUY, "time_in_force": GTC, "limit_price": price}
    return LimitOrderRequest(**(fields | more))


def listed(client: TradingClient, **wanted: object) -> list[str]:
    orders = client.get_orders(GetOrdersRequest(**wanted))  # type: ignore[arg-type] # the client's own optional types
    return [order.client_order_id for order in orders if isinstance(order, Order)]


def test_account_clock_calendar_and_assets(client: TradingClient) -> None:
    account = client.get_account()
    assert isinstance(account, TradeAccount)
    assert (account.cash, account.equity, account.buying_power) == ("1000000", "1000000", "2000000")
    assert isinstance(client.get_account_configurations(), AccountConfiguration)
    clock = client.get_clock()
    assert isinstance(clock, Clock)
    assert clock.is_open is False
    assert clock.next_open < clock.next_close
    days = client.get_calendar()
    assert isinstance(days, list)
    assert isinstance(days[0], Calendar)
    assert (days[0].open.hour, days[0].open.minute, days[0].close.hour) == (9, 30, 16)
    assets = client.get_all_assets(GetAssetsRequest(asset_class="crypto"))  # type: ignore[arg-type] # the client converts
    assert "BTC/USD" in {asset.symbol for asset in assets if isinstance(asset, Asset)}
    asset = client.get_asset("BTC/USD")
    assert isinstance(asset, Asset)
    assert client.get_asset(asset.id) == asset


def test_every_order_type_is_taken(client: TradingClient) -> None:
    market = submitted(client, MarketOrderRequest(symbol="BTC/USD", qty=0.00001, side=BUY, time_in_force=GTC))
    assert (market.qty, market.status, market.limit_price) == ("0.00001", OrderStatus.PENDING_NEW, None)
    resting = submitted(client, limit(client_order_id="mine"))
    assert (resting.qty, resting.limit_price, resting.client_order_id) == ("0.01", "49000", "mine")
    stop = StopOrderRequest(symbol="SPY", qty=1, side=BUY, time_in_force=TimeInForce.DAY, stop_price=460)
    assert submitted(client, stop).stop_price == "460"
    both = StopLimitOrderRequest(
        symbol="ETH-USD.SIM", qty=1, side=BUY, time_in_force=GTC, stop_price=2_050, limit_price=2_060.5
    )
    order = submitted(client, both)
    assert (order.symbol, order.stop_price, order.limit_price) == ("ETH/USD", "2050", "2060.5")
    for tif in (TimeInForce.DAY, TimeInForce.IOC, TimeInForce.FOK):
        assert submitted(client, limit(time_in_force=tif)).time_in_force == tif


def test_orders_are_found_and_listed(served: Served, client: TradingClient) -> None:
    first = submitted(client, limit(client_order_id="one"))
    served.do(served.rig.ack(str(first.id)))
    spy: dict[str, Any] = {
        "symbol": "SPY",
        "qty": 1,
        "price": 440,
        "client_order_id": "two",
        "time_in_force": TimeInForce.DAY,
    }
    submitted(client, limit(**spy))
    submitted(client, limit(side=SELL, price=55_000, client_order_id="three"))
    found = client.get_order_by_id(first.id)
    assert isinstance(found, Order)
    assert found.status == OrderStatus.NEW
    assert client.get_order_by_client_id("one") == found
    assert listed(client) == ["three", "two", "one"]
    assert listed(client, direction="asc", limit=2) == ["one", "two"]
    assert listed(client, symbols=["SPY"]) == ["two"]
    assert listed(client, side=SELL) == ["three"]
    assert listed(client, after=first.submitted_at) == []
    assert listed(client, status=QueryOrderStatus.CLOSED) == []
    client.cancel_order_by_id(first.id)
    served.do(served.rig.canceled(str(first.id)))
    assert listed(client, status=QueryOrderStatus.CLOSED, nested=True) == ["one"]
    assert listed(client, status=QueryOrderStatus.ALL) == ["three", "two", "one"]
    assert listed(client_of(served, "b"), status=QueryOrderStatus.ALL) == []


def test_an_order_is_replaced(served: Served, client: TradingClient) -> None:
    order = submitted(client, limit(qty=1, price=45_000))
    served.do(served.rig.ack(str(order.id)))
    new = client.replace_order_by_id(order.id, ReplaceOrderRequest(qty=2, limit_price=46_000, client_order_id="new"))
    assert isinstance(new, Order)
    assert (new.qty, new.limit_price, new.replaces, new.client_order_id) == ("2", "46000", order.id, "new")
    served.do(served.rig.replaced(str(order.id), str(new.id)))
    old = client.get_order_by_id(order.id)
    assert isinstance(old, Order)
    assert (old.status, old.replaced_by) == (OrderStatus.REPLACED, new.id)
    assert old.replaced_at is not None


def test_orders_are_cancelled(served: Served, client: TradingClient) -> None:
    orders = [submitted(client, limit(client_order_id=name)) for name in ("one", "two", "three")]
    for order in orders:
        served.do(served.rig.ack(str(order.id)))
    client.cancel_order_by_id(orders[0].id)
    pending = client.get_order_by_id(orders[0].id)
    assert isinstance(pending, Order)
    assert pending.status == OrderStatus.PENDING_CANCEL
    results = client.cancel_orders()
    assert {r.id for r in results if isinstance(r, CancelOrderResponse)} == {order.id for order in orders}
    for order in orders:
        served.do(served.rig.canceled(str(order.id)))
    assert listed(client) == []
    with pytest.raises(APIError) as error:
        client.cancel_order_by_id(orders[0].id)
    assert (error.value.status_code, error.value.code) == (422, 42210000)


def test_positions_are_shown_and_closed(served: Served, client: TradingClient) -> None:
    order = submitted(client, limit(qty=2))
    served.do(served.rig.ack(str(order.id)))
    served.do(served.rig.fill(str(order.id), "0.5", "49000"))
    served.do(served.rig.fill(str(order.id), "1.5", "48000"))
    done = client.get_order_by_id(order.id)
    assert isinstance(done, Order)
    assert (done.status, done.filled_qty, done.filled_avg_price) == (OrderStatus.FILLED, "2", "48250")
    assert done.filled_at is not None
    position = client.get_open_position("BTC/USD")
    assert isinstance(position, Position)
    assert (position.qty, position.avg_entry_price, position.cost_basis) == ("2", "48250", "96500")
    assert (position.market_value, position.unrealized_pl, position.current_price) == ("100000", "3500", "50000")
    assert client.get_all_positions() == [position]
    part = client.close_position("BTCUSD", ClosePositionRequest(percentage="25"))
    assert isinstance(part, Order)
    assert (part.qty, part.side) == ("0.5", SELL)
    served.do(served.rig.fill(str(part.id), "0.5", "50000"))
    results = client.close_all_positions(cancel_orders=True)
    assert isinstance(results, list)
    assert isinstance(results[0], ClosePositionResponse)
    assert isinstance(results[0].body, Order)
    assert (results[0].status, results[0].symbol, results[0].body.qty) == (200, "BTC/USD", "1.5")
    served.do(served.rig.fill(str(results[0].order_id), "1.5", "50000"))
    assert client.get_all_positions() == []
    with pytest.raises(APIError) as error:
        client.get_open_position("BTC/USD")
    assert (error.value.status_code, error.value.code) == (404, 40410000)
    account = client.get_account()
    assert isinstance(account, TradeAccount)
    assert account.equity == "1003500"
    history = client.get_portfolio_history(GetPortfolioHistoryRequest(period="1W", timeframe="1D"))
    assert isinstance(history, PortfolioHistory)
    assert (history.equity[-1], history.profit_loss[-1]) == (1_003_500, 3_500)


def test_the_configuration_is_read_and_written_whole(served: Served, client: TradingClient) -> None:
    shown = client.get_account_configurations()
    assert isinstance(shown, AccountConfiguration)
    assert client.set_account_configurations(shown) == shown
    stopped = client.set_account_configurations(shown.model_copy(update={"suspend_trade": True}))
    assert isinstance(stopped, AccountConfiguration)
    assert stopped.suspend_trade
    with pytest.raises(APIError) as error:
        client.submit_order(limit())
    assert (error.value.status_code, error.value.code) == (403, 40310000)
    account = client.get_account()
    assert isinstance(account, TradeAccount)
    assert account.trade_suspended_by_user
    assert isinstance(client_of(served, "b").submit_order(limit()), Order)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (MarketOrderRequest(symbol="BTC/USD", notional=100, side=BUY, time_in_force=GTC), "notional"),
        (TrailingStopOrderRequest(symbol="SPY", qty=1, side=SELL, time_in_force=GTC, trail_price=5), "trail_price"),
        (
            limit(
                order_class=OrderClass.BRACKET, take_profit={"limit_price": 60_000}, stop_loss={"stop_price": 40_000}
            ),
            "take_profit",
        ),
        (limit(time_in_force=TimeInForce.OPG), "time_in_force"),
        (limit(extended_hours=True), "extended_hours"),
    ],
    ids=["notional", "trailing stop", "bracket", "at the open", "extended hours"],
)
def test_what_is_not_there_is_refused_by_name(client: TradingClient, request_: OrderRequest, field: str) -> None:
    with pytest.raises(APIError) as error:
        client.submit_order(request_)
    assert (error.value.status_code, error.value.code) == (422, 42210000)
    assert json.loads(str(error.value))["field"] in (field, "type", "order_class")
    assert listed(client, status=QueryOrderStatus.ALL) == []


def test_errors_have_alpacas_codes(served: Served, client: TradingClient) -> None:
    def refused(who: TradingClient, request: OrderRequest) -> tuple[int, int, str]:
        with pytest.raises(APIError) as error:
            who.submit_order(request)
        return error.value.status_code, error.value.code, error.value.message

    assert refused(client, limit(symbol="NOPE"))[:2] == (422, 42210000)
    poor = client_of(served, "poor")
    status, code, message = refused(poor, limit())
    assert (status, code) == (403, 40310000)
    assert message.startswith("insufficient balance for USD")
    submitted(client, limit(client_order_id="same"))
    assert submitted(client, limit(client_order_id="same")).client_order_id == "same"
    assert refused(client, limit(client_order_id="same", qty=0.02))[:2] == (409, 40010001)
    with pytest.raises(APIError) as error:
        client.get_order_by_id("00000000-0000-0000-0000-000000000000")
    assert (error.value.status_code, error.value.code) == (404, 40410000)
    with pytest.raises(APIError) as error:
        TradingClient("PKNOBODY", "nothing", url_override=f"http://{served.address}").get_account()
    assert (error.value.status_code, error.value.code) == (401, 40110000)
