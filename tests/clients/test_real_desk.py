"""alpaca-py on a whole platform: simulated exchange, owner, gateway and paper venue in one worker process."""

import json
from pathlib import Path

from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, OrderStatus, TimeInForce
from alpaca.trading.models import Order, TradeAccount
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest

from tests.streaming.poll import until_sync
from tests.streaming.worker_process import WorkerProcess

ROLES = ("--roles", "ingest,normalize,orders,route")


def client_of(worker: WorkerProcess) -> TradingClient:
    key = json.loads((worker.home / "keys.json").read_text())["keys"][0]
    address = worker.status()["http"]
    return TradingClient(key["key_id"], key["secret"], url_override=f"http://{address['host']}:{address['port']}")


def order(client: TradingClient, client_id: str) -> Order:
    found = client.get_order_by_client_id(client_id)
    assert isinstance(found, Order)
    return found


def funded(client: TradingClient) -> bool:
    account = client.get_account()
    assert isinstance(account, TradeAccount)
    return account.cash == "1000000"


def test_orders_fill_and_rest_and_survive_a_kill(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path, *ROLES) as worker:
        worker.until_ready()
        client = client_of(worker)
        until_sync(lambda: (tmp_path / "keys.json").exists() and opened(client))
        until_sync(lambda: taken(client, "bought"))
        until_sync(lambda: order(client, "bought").status == OrderStatus.FILLED)
        resting = LimitOrderRequest(
            symbol="ETH/USD",
            qty=0.5,
            side=OrderSide.BUY,
            time_in_force=TimeInForce.GTC,
            limit_price=100,
            client_order_id="resting",
        )
        client.submit_order(resting)
        until_sync(lambda: order(client, "resting").status == OrderStatus.NEW)
        before = client.get_all_positions()
        worker.kill()
    with WorkerProcess(tmp_path, *ROLES) as worker:
        worker.until_ready()
        client = client_of(worker)
        assert order(client, "bought").status == OrderStatus.FILLED
        assert order(client, "resting").status == OrderStatus.NEW
        assert [p.qty for p in client.get_all_positions()] == [p.qty for p in before]  # type: ignore[union-attr] # models
        client.cancel_order_by_id(order(client, "resting").id)
        until_sync(lambda: order(client, "resting").status == OrderStatus.CANCELED)
        worker.signal()
        code, errors = worker.end()
        assert code == 0, errors


def opened(client: TradingClient) -> bool:

    try:
        return funded(client)
    except APIError as error:
        if error.status_code not in (404, 503):
            raise
        return False


def taken(client: TradingClient, client_id: str) -> bool:

    try:
        client.submit_order(
            MarketOrderRequest(
                symbol="ETH/USD",
                qty=0.5,
                side=OrderSide.BUY,
                time_in_force=TimeInForce.GTC,
                client_order_id=client_id,
            )
        )
    except APIError as error:
        # The first prices of the exchange, or the limits of the account, may not be there yet.
        if json.loads(str(error))["reason"] not in ("PRICE_MISSING", "LIMITS_MISSING"):
            raise
        return False
    return True
