"""Executions are listed a page at a time, for their account alone, with what they left of their orders."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from streaming.api.times import parse
from tests.streaming.api.http import Http, api
from tests.trading.orders.builders import S
from trading.commands import VenueFill


async def executed(http: Http, key: str = "a", parts: int = 3) -> str:
    order = await http.order(key, qty="1")
    for number in range(parts):
        http.rig.desk.ts_ns += S // 100
        await http.rig.fill(order["id"], f"0.{number + 1}", f"{49_000 - number}")
    return str(order["id"])


async def test_an_execution_tells_its_order_and_what_is_left(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        order = await executed(http)
        await http.rig.fill(order, "0.4", "48000")
        newest, *older = await http.get("/v2/account/activities/FILL")
        assert (newest["type"], newest["order_status"], newest["order_id"]) == ("fill", "filled", order)
        assert (newest["qty"], newest["cum_qty"], newest["leaves_qty"], newest["price"]) == ("0.4", "1", "0", "48000")
        assert [(one["cum_qty"], one["leaves_qty"]) for one in older] == [
            ("0.6", "0.4"),
            ("0.3", "0.7"),
            ("0.1", "0.9"),
        ]
        assert {one["symbol"] for one in older} == {"BTC/USD"}
        assert await http.get("/v2/account/activities") == [newest, *older]
        assert await http.get("/v2/account/activities/FILL", "b") == []


async def test_fees_and_executions_make_the_cash(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        row = http.rig.row((await http.order())["id"])
        fill = VenueFill(
            account="a",
            ts_ns=0,
            order=row.id,
            venue="SIM",
            trade_id="t",
            instrument=row.intent.instrument,
            side="buy",
            qty="0.5",
            price="49000",
            fee="6.125",
        )
        await http.rig.tell(fill)
        (one,) = await http.get("/v2/account/activities")
        assert one["fee"] == "6.125"
        cash = Decimal(1_000_000) - Decimal(one["qty"]) * Decimal(one["price"]) - Decimal(one["fee"])
        assert Decimal((await http.get("/v2/account"))["cash"]) == cash


async def test_pages_follow_each_other_without_a_gap(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        for _ in range(3):
            await executed(http)
        whole = await http.get("/v2/account/activities", direction="asc")
        assert [one["transaction_time"] for one in whole] == sorted(one["transaction_time"] for one in whole)
        found: list[Any] = []
        token: dict[str, Any] = {}
        while page := await http.get("/v2/account/activities", direction="asc", page_size=2, **token):
            found += page
            token = {"page_token": page[-1]["id"]}
        assert found == whole
        newest = await http.get("/v2/account/activities", page_size=4)
        assert newest == whole[::-1][:4]
        assert await http.get("/v2/account/activities", page_token=newest[-1]["id"]) == whole[::-1][4:]
        stranger = await executed(http, "b", 1)
        (theirs,) = await http.get("/v2/account/activities", "b")
        assert theirs["order_id"] == stranger
        assert await http.get("/v2/account/activities", page_token=theirs["id"]) == []


async def test_times_bound_the_list(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        await executed(http)
        oldest, middle, newest = await http.get("/v2/account/activities", direction="asc")
        assert await http.get("/v2/account/activities", after=middle["transaction_time"]) == [newest]
        assert await http.get("/v2/account/activities", until=middle["transaction_time"]) == [oldest]
        day = oldest["transaction_time"][:10]
        assert parse("date", day) < http.rig.desk.ts_ns
        assert len(await http.get("/v2/account/activities/FILL", date=day)) == 3
        assert await http.get("/v2/account/activities/FILL", date="2023-11-13") == []
