"""The account, the clock, the calendar and the assets tell what the desk knows."""

from pathlib import Path

from streaming.api import times
from streaming.api.symbols import asset_id
from tests.api_rig import Rig, prices
from tests.streaming.api.http import Http, api
from tests.trading.orders.builders import S

HOUR_NS = 3_600 * S


async def test_an_account_follows_its_orders(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        before = await http.get("/v2/account")
        assert (before["cash"], before["multiplier"], before["trading_blocked"]) == ("1000000", "2", False)
        order = await http.order(qty="2")
        held = await http.get("/v2/account")
        assert (held["cash"], held["buying_power"], held["initial_margin"]) == ("1000000", "1902000", "49000")
        await http.rig.fill(order["id"], "2", "49000")
        after = await http.get("/v2/account")
        assert (after["cash"], after["equity"], after["long_market_value"]) == ("902000", "1002000", "100000")
        assert after["position_market_value"] == "100000"


async def test_the_last_equity_is_of_the_day_before(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        order = await http.order(qty="2")
        await http.rig.fill(order["id"], "2", "49000")
        first = await http.get("/v2/account")
        assert (first["equity"], first["last_equity"]) == ("1002000", "1000000")
        # Equity is measured when an order is approved.
        await http.order(limit_price="48000", qty="0.1")
        await http.rig.history.catch_up()
        http.rig.desk.ts_ns += 24 * HOUR_NS
        assert (await http.get("/v2/account"))["last_equity"] == "1002000"


async def test_the_kill_switch_shows(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        await http.ask("POST", "/v1/kill", "admin", json={})
        assert (await http.get("/v2/account"))["trading_blocked"] is True
        assert (await http.get("/v2/account/configurations"))["suspend_trade"] is True


async def test_the_clock_is_new_yorks_and_the_desks(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        clock = await http.get("/v2/clock")
        assert clock == {
            "timestamp": "2023-11-14T17:13:20-05:00",
            "is_open": False,
            "next_open": "2023-11-15T09:30:00-05:00",
            "next_close": "2023-11-15T16:00:00-05:00",
        }
        http.rig.desk.ts_ns += 18 * HOUR_NS
        clock = await http.get("/v2/clock")
        assert clock["is_open"] is True
        assert clock["next_close"] == "2023-11-15T16:00:00-05:00"


async def test_the_calendar_knows_holidays_and_short_days(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        days = await http.get("/v2/calendar", start="2023-11-22", end="2023-11-26")
        assert days == [
            {"date": "2023-11-22", "open": "09:30", "close": "16:00"},
            {"date": "2023-11-24", "open": "09:30", "close": "13:00"},
        ]


async def test_the_calendar_goes_on_for_a_year_where_no_end_is_named(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        days = await http.get("/v2/calendar", start="2023-01-01")
        assert (days[0]["date"], days[-1]["date"]) == ("2023-01-03", "2024-11-14")
        assert (await http.get("/v2/calendar"))[0]["date"] == "2023-11-14"


async def test_assets_are_filtered_and_found(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        coins = await http.get("/v2/assets", asset_class="crypto", status="active")
        assert {asset["class"] for asset in coins} == {"crypto"}
        asset = await http.get("/v2/assets/BTC/USD")
        assert asset["id"] == asset_id("BTC-USD.SIM")
        assert (asset["price_increment"], asset["min_trade_increment"]) == ("0.01", "0.00000001")
        assert await http.get(f"/v2/assets/{asset['id']}") == asset
        assert await http.get("/v2/assets", exchange="OTC") == []


async def test_a_portfolio_has_a_point_for_each_step(tmp_path: Path) -> None:
    http = Http(Rig(tmp_path))
    await http.rig.fund("a")
    for price in ("49000", "49100"):
        order = await http.order(limit_price=price, qty="1")
        await http.rig.fill(order["id"], "1", price)
        http.rig.desk.ts_ns += S
    page = await http.get("/v2/account/portfolio/history", period="1D", timeframe="1Min")
    assert page["equity"][-1] == 1_001_900
    assert page["profit_loss"][-1] == 1_900
    assert page["profit_loss_pct"][-1] == 0.0019
    assert len(page["timestamp"]) == len(page["equity"])
    assert page["base_value"] == 1_000_000
    await http.close()


async def test_the_last_date_of_a_portfolio_is_inside(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        await http.order()
        page = await http.get("/v2/account/portfolio/history", date_end=times.to_text(http.rig.desk.ts_ns)[:10])
        assert page["equity"] == [1_000_000]


async def test_profit_is_of_the_stretch_that_is_asked_for(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        for price in ("49000", "49900"):
            http.rig.desk.market = prices(http.rig.desk.ts_ns)
            order = await http.order(limit_price=price, qty="1")
            await http.rig.fill(order["id"], "1", price)
            http.rig.desk.ts_ns += 24 * HOUR_NS
        whole = await http.get("/v2/account/portfolio/history", period="1W", timeframe="1H")
        assert (whole["base_value"], whole["profit_loss"][-1]) == (1_000_000, 1_100)
        since = times.to_text(http.rig.desk.ts_ns - HOUR_NS)
        last = await http.get("/v2/account/portfolio/history", start=since, timeframe="1H")
        # The equity was measured last when the second order was approved.
        assert (last["base_value"], last["profit_loss"]) == (1_001_000, [100])
