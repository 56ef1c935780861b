"""Orders over HTTP: idempotent, isolated by account, and found wherever they are kept."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.streaming.api.http import ORDER, api
from tests.trading.orders.builders import S
from trading.commands import Timer

DAY_NS = 86_400 * S


async def test_64_copies_at_once_are_one_order(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        orders = await asyncio.gather(*(http.order(client_order_id="same") for _ in range(64)))
        assert len({order["id"] for order in orders}) == 1
        assert len(await http.get("/v2/orders", status="all")) == 1


async def test_the_same_client_id_in_another_account_is_another_order(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        mine, theirs = await http.order(client_order_id="x"), await http.order("b", client_order_id="x")
        assert mine["id"] != theirs["id"]
        assert (await http.get("/v2/orders:by_client_order_id", client_order_id="x"))["id"] == mine["id"]
        await http.get(f"/v2/orders/{theirs['id']}", expect=404)


# What Alpaca's client for Go sends with each order and each replacement: every field it knows.
EMPTY_ORDER: dict[str, Any] = {
    **dict.fromkeys(("notional", "stop_price", "take_profit", "stop_loss", "trail_price", "trail_percent", "legs")),
    **dict.fromkeys(("client_order_id", "order_class", "position_intent"), ""),
    "extended_hours": False,
}
EMPTY_CHANGE = {"stop_price": None, "trail": None, "time_in_force": "", "client_order_id": ""}


async def test_fields_without_a_value_are_as_if_not_there(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        order = await http.order(**EMPTY_ORDER)
        assert len(order["client_order_id"]) == 36
        await http.rig.ack(order["id"])
        change = {"qty": "0.6", "limit_price": "48000"} | EMPTY_CHANGE
        changed = (await http.ask("PATCH", f"/v2/orders/{order['id']}", json=change)).json()
        assert (changed["qty"], changed["time_in_force"], changed["replaces"]) == ("0.6", "gtc", order["id"])
        await http.get("/v2/positions/BTC/USD", expect=404, symbol="BTC/USD")


@pytest.mark.parametrize(("field", "value"), [("notional", "1"), ("legs", [None]), ("position_intent", "buy_to_open")])
async def test_a_value_that_is_not_supported_is_refused_by_name(tmp_path: Path, field: str, value: object) -> None:
    async with api(tmp_path) as http:
        refused = await http.ask("POST", "/v2/orders", json=ORDER | EMPTY_ORDER | {field: value})
        assert (refused.status_code, refused.json()["reason"]) == (422, "FIELD_NOT_SUPPORTED")
        assert refused.json()["message"] == f"{field} is not supported here"


async def test_gtd_shows_as_gtc_with_its_end(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        order = await http.order(time_in_force="gtd", expires_at="2023-12-01T00:00:00Z")
        assert (order["time_in_force"], order["expires_at"]) == ("gtc", "2023-12-01T00:00:00.000000Z")


async def test_an_order_that_has_left_the_state_is_found_in_the_history(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        order = await http.order(client_order_id="old")
        await http.rig.ack(order["id"])
        await http.rig.canceled(order["id"])
        ended = await http.get(f"/v2/orders/{order['id']}")
        http.rig.desk.ts_ns += 2 * DAY_NS
        await http.rig.tell(Timer(account="a", ts_ns=0))
        assert not any(state.orders for state in http.rig.desk.states)
        assert await http.get(f"/v2/orders/{order['id']}") == ended
        assert await http.get("/v2/orders", status="closed") == [ended]
        assert await http.order(client_order_id="old") == ended
        answer = await http.ask("DELETE", f"/v2/orders/{order['id']}")
        assert (answer.status_code, answer.json()["reason"]) == (422, "ORDER_NOT_CANCELABLE")


async def test_a_refusal_names_every_broken_rule_and_the_order(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        answer = await http.ask("POST", "/v2/orders", json=ORDER | {"qty": "2000", "limit_price": "60000"})
        body = answer.json()
        assert (answer.status_code, body["code"], body["reason"]) == (403, 40310000, "MAX_ORDER_QTY")
        assert {"MAX_ORDER_VALUE", "PRICE_COLLAR", "BUYING_POWER"} < {breach["code"] for breach in body["breaches"]}
        why = await http.get(f"/v1/orders/{body['order_id']}/why")
        assert why["outcome"] == "MAX_ORDER_QTY"


async def test_a_rate_of_messages_is_429(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        await http.rig.fund("poor", message_rate=1, message_burst=1)
        await http.order("poor", qty="0.1")
        answer = await http.ask("POST", "/v2/orders", "poor", json=ORDER | {"qty": "0.2"})
        assert (answer.status_code, answer.json()["reason"]) == (429, "MESSAGE_RATE")
        assert answer.headers["retry-after"] == "1"


async def test_lists_are_in_order_whether_live_or_gone(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        ids = []
        for number in range(5):
            http.rig.desk.ts_ns += S
            order = await http.order(client_order_id=f"c{number}")
            ids.append(order["id"])
            await http.rig.ack(order["id"])
            if number % 2:
                await http.rig.canceled(order["id"])
        listed = await http.get("/v2/orders", status="all", direction="asc")
        assert [order["id"] for order in listed] == ids
        assert [o["id"] for o in await http.get("/v2/orders", status="all", limit=2)] == [ids[4], ids[3]]
        assert [o["id"] for o in await http.get("/v2/orders", until=listed[2]["submitted_at"])] == [ids[0]]
