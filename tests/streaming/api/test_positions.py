"""Positions: long and short, in parts, and never more than is held."""

import asyncio
from pathlib import Path

import pytest

from streaming.api import positions
from tests.streaming.api.http import api
from tests.streaming.poll import until


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


async def test_what_closes_already_is_not_closed_again(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        order = await http.order(qty="1", limit_price="50000")
        await http.rig.fill(order["id"], "1", "50000")
        resting = await http.order(side="sell", limit_price="55000", qty="0.4")
        await http.rig.ack(resting["id"])
        refused = await http.ask("DELETE", "/v2/positions/BTC/USD")
        assert (refused.status_code, refused.json()["reason"], refused.json()["largest"]) == (403, "REDUCE_ONLY", "0.6")
        asked = (http.ask("DELETE", "/v2/positions/BTC/USD", params={"qty": "0.6"}) for _ in range(2))
        assert sorted([answer.status_code for answer in await asyncio.gather(*asked)]) == [200, 403]


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


async def test_orders_that_are_cancelled_first_do_not_stand_in_the_way(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        order = await http.order(qty="1", limit_price="50000")
        await http.rig.fill(order["id"], "1", "50000")
        resting = [await http.order(limit_price=price, qty="0.1") for price in ("45000", "46000")]
        for one in resting:
            await http.rig.ack(one["id"])
        asked = asyncio.create_task(http.ask("DELETE", "/v2/positions", params={"cancel_orders": "true"}))
        await until(lambda: all(http.rig.row(one["id"]).status == "pending_cancel" for one in resting))
        for one in resting:
            assert not asked.done()
            await http.rig.canceled(one["id"])
        (result,) = (await asked).json()
        assert (result["status"], result["body"]["side"], result["body"]["qty"]) == (200, "sell", "1")
        assert http.rig.desk._subscriptions == []


async def test_a_venue_that_does_not_confirm_is_not_waited_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(positions, "CONFIRM_S", 0.05)
    async with api(tmp_path) as http:
        order = await http.order(qty="1", limit_price="50000")
        await http.rig.fill(order["id"], "1", "50000")
        resting = await http.order(limit_price="45000", qty="0.1")
        await http.rig.ack(resting["id"])
        (result,) = (await http.ask("DELETE", "/v2/positions", params={"cancel_orders": "true"})).json()
        assert (result["status"], result["body"]["reason"]) == (403, "SELF_TRADE")
