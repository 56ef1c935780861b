"""Positions: long and short, in parts, and never more than is held."""

from pathlib import Path

from tests.streaming.api.http import api


async def test_a_short_position_is_shown_and_bought_back(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        order = await http.order(side="sell", limit_price="50000", qty="2")
        await http.rig.fill(order["id"], "2", "51000")
        (position,) = await http.get("/v2/positions")
        assert (position["side"], position["qty"], position["avg_entry_price"]) == ("short", "-2", "51000")
        assert (position["cost_basis"], position["market_value"]) == ("-102000", "-100000")
        assert (position["unrealized_pl"], position["unrealized_plpc"]) == ("2000", "0.019608")
        answer = await http.ask("DELETE", "/v2/positions/BTC/USD", params={"qty": "0.5"})
        closing = answer.json()
        assert (closing["side"], closing["qty"], closing["type"]) == ("buy", "0.5", "market")
        (position,) = await http.get("/v2/positions")
        assert position["qty_available"] == "1.5"


async def test_all_are_closed_and_what_cannot_be_says_why(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        for symbol, price in (("BTC/USD", "50000"), ("ETH/USD", "2000")):
            order = await http.order(symbol=symbol, qty="1", limit_price=price)
            await http.rig.fill(order["id"], "1", price)
        resting = await http.order(side="buy", limit_price="45000", qty="0.1")
        await http.rig.ack(resting["id"])
        answer = await http.ask("DELETE", "/v2/positions")
        results = {result["symbol"]: result for result in answer.json()}
        assert answer.status_code == 207
        # A market sale could trade with the own resting buy order.
        assert (results["BTC/USD"]["status"], results["BTC/USD"]["body"]["reason"]) == (403, "SELF_TRADE")
        assert results["ETH/USD"]["status"] == 200
        assert results["ETH/USD"]["order_id"] == results["ETH/USD"]["body"]["id"]
        assert (await http.get(f"/v2/orders/{resting['id']}"))["status"] == "new"
        assert await http.get("/v2/positions", "b") == []
