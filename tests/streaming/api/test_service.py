"""The API starts with the desk: keys and accounts are there, once, whatever was changed since."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from streaming.api.service import OrderApi, limits_of, open_accounts
from streaming.flow import FlowContext
from streaming.settings import ConfigError, Settings, StartSettings
from tests.api_rig import prices
from tests.desk_fake import FakeDesk
from tests.streaming.memory_broker import MemoryBroker
from tests.streaming.poll import until
from tests.trading.orders.builders import T0
from trading.commands import SetLimits
from trading.orders.state import State


def body_of(state: State) -> tuple[int, int]:
    account = state.accounts["paper"]
    assert account.limits is not None
    return account.exposure.cash, account.limits.version


async def test_accounts_begin_once_and_keep_what_was_changed() -> None:
    desk = FakeDesk(prices(), ts_ns=T0)
    limits = limits_of(StartSettings())
    await open_accounts(desk, ("paper", "other"), "5000", limits)
    assert await desk.read("paper", body_of) == (5_000 * 10**9, 1)
    tight = limits_of(StartSettings(max_order_qty="1"))
    await desk.execute(SetLimits(account="paper", ts_ns=0, actor="admin", limits=tight), "t")
    records = list(map(len, desk.journal))
    await open_accounts(desk, ("paper", "other"), "7000", limits)
    assert list(map(len, desk.journal)) == records
    assert await desk.read("paper", body_of) == (5_000 * 10**9, 2)


async def test_accounts_wait_for_a_partition_that_is_not_ready() -> None:
    desk = FakeDesk(prices(), ts_ns=T0)
    desk.unready.add(desk.partition_of("paper"))
    opening = asyncio.create_task(open_accounts(desk, ("paper",), "5000", limits_of(StartSettings())))
    await asyncio.sleep(0)
    desk.unready.clear()
    await asyncio.wait_for(opening, 10)
    assert await desk.read("paper", body_of) == (5_000 * 10**9, 1)


@pytest.mark.parametrize("wrong", [{"max_var": "-1"}, {"collar_bps": 0}, {"max_order_value": "much"}])
def test_limits_that_are_none_refuse_the_start(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="start"):
        limits_of(StartSettings().model_copy(update=wrong))


class HouseFake(FakeDesk):
    """A desk that is started and stopped by the process."""

    def __init__(self) -> None:
        super().__init__(prices(), ts_ns=T0)
        self.told: list[str] = []

    async def start(self, context: FlowContext) -> None:
        """Begin."""
        self.told.append("start")

    async def stop(self) -> None:
        """End."""
        self.told.append("stop")


async def test_the_api_is_mounted_with_the_keys_of_the_home(tmp_path: Path) -> None:
    house, pages = HouseFake(), FastAPI()
    service = OrderApi(house)
    service.mount = lambda app: pages.mount("", app)
    await service.start(FlowContext(Settings(home=tmp_path), tmp_path, MemoryBroker()))
    key = json.loads((tmp_path / "keys.json").read_text())["keys"][0]
    headers = {"APCA-API-KEY-ID": key["key_id"], "APCA-API-SECRET-KEY": key["secret"]}
    await until(lambda: any("paper" in state.accounts for state in house.states))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=pages), base_url="http://desk") as http:
        account = (await http.get("/v2/account", headers=headers)).json()
    assert (account["account_number"], account["cash"]) == ("paper", "1000000")
    await service.stop()
    assert house.told == ["start", "stop"]


async def test_keys_that_others_can_read_refuse_the_start(tmp_path: Path) -> None:
    (tmp_path / "keys.json").touch(0o644)
    (tmp_path / "keys.json").chmod(0o644)
    house = HouseFake()
    with pytest.raises(ConfigError, match="others can read it"):
        await OrderApi(house).start(FlowContext(Settings(home=tmp_path), tmp_path, MemoryBroker()))
    assert house.told == []
