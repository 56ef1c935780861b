"""ccxt's `alpaca` class, unmodified but for its addresses: markets, balance, create, fetch, cancel, errors."""

from collections.abc import Iterator
from typing import Any

import ccxt
import pytest

from tests.api_rig import KEYS, Served

SYMBOL = "BTC/USD"


def exchange_of(served: Served, name: str = "a") -> Any:
    key = KEYS[name]
    exchange = ccxt.alpaca({"apiKey": key.key_id, "secret": key.secret, "enableRateLimit": False})
    exchange.urls["api"] = dict.fromkeys(("trader", "market", "broker"), f"http://{served.address}")
    return exchange


@pytest.fixture
def exchange(served: Served) -> Iterator[Any]:
    made = exchange_of(served)
    yield made
    made.session.close()


def test_markets_clock_and_balance(exchange: Any) -> None:
    markets = exchange.load_markets()
    assert markets[SYMBOL]["active"]
    assert markets[SYMBOL]["precision"]["price"] == 0.01
    assert exchange.fetch_time() == 1_700_000_000_000
    balance = exchange.fetch_balance()
    assert balance["USD"]["total"] == 1_000_000


def test_an_order_lives_and_ends(served: Served, exchange: Any) -> None:
    made = exchange.create_order(SYMBOL, "limit", "buy", 0.5, 49_000)
    assert (made["symbol"], made["amount"], made["price"], made["side"]) == (SYMBOL, 0.5, 49_000, "buy")
    served.do(served.rig.ack(made["id"]))
    assert exchange.fetch_order(made["id"])["status"] == "open"
    assert [order["id"] for order in exchange.fetch_open_orders(SYMBOL)] == [made["id"]]
    served.do(served.rig.fill(made["id"], "0.2", "48000"))
    part = exchange.fetch_order(made["id"])
    assert (part["filled"], part["average"]) == (0.2, 48_000)
    exchange.cancel_order(made["id"])
    served.do(served.rig.canceled(made["id"]))
    assert exchange.fetch_open_orders(SYMBOL) == []
    assert [order["status"] for order in exchange.fetch_closed_orders(SYMBOL)] == ["canceled"]
    balance = exchange.fetch_balance()
    assert balance["BTC"]["total"] == 0.2


def test_trades_are_fetched_and_orders_edited_and_cancelled_together(served: Served, exchange: Any) -> None:
    made = exchange.create_order(SYMBOL, "limit", "buy", 0.5, 49_000)
    served.do(served.rig.ack(made["id"]))
    for qty, price in (("0.2", "48000"), ("0.3", "48500.5")):
        served.do(served.rig.fill(made["id"], qty, price))
    newest, oldest = sorted(exchange.fetch_my_trades(SYMBOL), key=lambda trade: trade["amount"], reverse=True)
    assert (oldest["price"], oldest["amount"], oldest["cost"]) == (48_000, 0.2, 9_600)
    assert (newest["price"], newest["order"], newest["side"]) == (48_500.5, made["id"], "buy")
    assert len(exchange.fetch_my_trades(SYMBOL, limit=1)) == 1
    assert exchange.fetch_my_trades(SYMBOL, since=exchange.milliseconds()) == []
    open_ = exchange.create_order(SYMBOL, "limit", "buy", 0.1, 45_000)
    served.do(served.rig.ack(open_["id"]))
    edited = exchange.edit_order(open_["id"], SYMBOL, "limit", "buy", 0.1, 45_100)
    assert (edited["price"], edited["info"]["replaces"]) == (45_100, open_["id"])
    assert len(exchange.fetch_orders(SYMBOL)) == 3
    exchange.cancel_all_orders(SYMBOL)
    assert exchange.fetch_order(edited["id"])["status"] in ("open", "canceling")


def test_types_and_errors(served: Served, exchange: Any) -> None:
    assert exchange.create_order(SYMBOL, "market", "buy", 0.1)["type"] == "market"
    trigger = exchange.create_order(SYMBOL, "limit", "buy", 0.1, 51_000, {"triggerPrice": 50_500})
    assert trigger["triggerPrice"] == 50_500
    poor = exchange_of(served, "poor")
    with pytest.raises(ccxt.InsufficientFunds):
        poor.create_order(SYMBOL, "limit", "buy", 0.1, 49_000)
    poor.session.close()
    with pytest.raises(ccxt.InvalidOrder):
        exchange.fetch_order("00000000-0000-0000-0000-000000000000")
    with pytest.raises(ccxt.BadRequest):
        exchange.create_order(SYMBOL, "limit", "buy", 0.1, 49_000, {"timeInForce": "opg"})
    stranger = exchange_of(served)
    stranger.secret = "wrong"
    exchange.create_order(SYMBOL, "limit", "buy", 0.5, 49_000, {"clientOrderId": "once"})
    # Anything of the network would make a client try for ever.
    with pytest.raises(ccxt.BadRequest, match="ID_REUSED"):
        exchange.create_order(SYMBOL, "limit", "buy", 0.6, 49_000, {"clientOrderId": "once"})
    with pytest.raises(ccxt.PermissionDenied):
        stranger.fetch_balance()
    stranger.session.close()
