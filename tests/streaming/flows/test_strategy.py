"""The strategy flow: bars in, commands out, once however often it dies."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from streaming.flow import FlowContext
from streaming.flows.strategy import FLOW, StrategyLane
from streaming.settings import ConfigError, FeedSettings, OrderSettings, Settings, StrategySettings
from tests.streaming.memory_broker import MemoryBroker
from tests.streaming.order_ring import Owner, tick
from tests.streaming.poll import until
from tests.trading.orders.builders import T0, TABLE, XYZ, S, fill
from trading.commands import SubmitOrder, decode_command, encode_command
from trading.market.batches import TRADE, BarBatch
from trading.messages import Source
from trading.orders.idempotency import order_id
from trading.schemas import BARS, ORDERS_COMMANDS, ORDERS_JOURNAL, TICKS

MINUTE = 60 * S
START = T0 - T0 % MINUTE


def bars(number: int, close: int, offset: int | None = None) -> bytes:
    """Return the one minute bar of this number, made by the raw message of that offset."""
    one = np.ones(1, np.int64)
    return BarBatch(
        instrument=([XYZ.id], np.zeros(1, np.int16)),
        interval_s=np.array([60], np.int32),
        session=np.zeros(1, np.int32),
        start_ns=one * (START + number * MINUTE),
        open=one * close,
        high=one * close,
        low=one * close,
        close=one * close,
        volume=one,
        trades=one,
        flags=np.zeros(1, np.uint16),
        revision=np.zeros(1, np.int32),
        src=Source(0, number if offset is None else offset),
        clock_ns=START + number * MINUTE,
    ).encode()


class Stage:
    """A broker, an owner and the lane of account `a`."""

    def __init__(self, home: Path, **strategy: Any) -> None:
        self.broker = MemoryBroker()
        self.owner = Owner(self.broker, ["a"], 1)
        chosen: dict[str, Any] = {
            "account": "a",
            "parameters": {"instrument": XYZ.id, "fast": 1, "slow": 2, "qty": "3"},
        }
        self.settings = Settings(
            home=home,
            feed=FeedSettings(rate=0),
            orders=OrderSettings(partitions=1),
            strategy=StrategySettings.model_validate(chosen | strategy),
            instruments=tuple(msgspec.to_builtins(instrument) for instrument in TABLE),
        )
        self.context = FlowContext(self.settings, home, self.broker)
        self.lane = StrategyLane(self.context, 0)
        self.read = 0

    async def start(self) -> None:
        self.lane = StrategyLane(self.context, 0)
        self.read = await self.lane.open() or 0

    async def bar(self, *payloads: bytes) -> None:
        before = self.lane.stats()["bars"]
        await self.broker.append(BARS.name, 0, [(None, payload) for payload in payloads])
        await until(lambda: self.lane.stats()["bars"] == before + len(payloads))
        await self.settle()

    async def settle(self) -> None:
        await self.lane._reporter.flush()
        await self.owner.decide()
        records = self.broker.records[ORDERS_JOURNAL.name, 0][self.read :]
        if records:
            self.read = await self.lane.process(records) or 0

    async def fill(self) -> None:
        """Fill the first order: until then an order of the other side could trade with it, and is refused."""
        report = _encoded(order=order_id("a", self.orders()[0][0]), qty="3")
        await self.broker.append(ORDERS_COMMANDS.name, 0, [(None, report)])
        await self.settle()

    def orders(self) -> list[tuple[str, str, str]]:
        commands = [decode_command(record.value or b"") for record in self.broker.records[ORDERS_COMMANDS.name, 0]]
        return [(c.client_order_id, c.side, c.qty) for c in commands if isinstance(c, SubmitOrder)]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path)
    await made.owner.fence()
    await made.start()
    yield made
    await made.lane.close()


async def test_it_buys_above_and_sells_below(stage: Stage) -> None:
    await stage.bar(bars(0, 10_000), bars(1, 10_100))
    assert [order[1:] for order in stage.orders()] == [("buy", "3")]
    await stage.bar(bars(2, 10_200))
    assert len(stage.orders()) == 1
    await stage.fill()
    await stage.bar(bars(3, 10_000))
    assert [order[1:] for order in stage.orders()] == [("buy", "3"), ("sell", "3")]
    rows = stage.owner.states[0].orders.values()
    assert [row.intent.strategy for row in rows] == ["sma", "sma"]
    await stage.lane.tick()


async def test_a_fill_reaches_it_by_the_journal(stage: Stage) -> None:
    await stage.bar(bars(0, 10_000), bars(1, 10_100))
    await stage.fill()
    assert stage.lane.stats()["positions"] == {XYZ.id: 3}
    assert stage.lane.stats()["fills"] == 1


async def test_what_is_said_again_is_not_worked_again(stage: Stage) -> None:
    await stage.bar(bars(0, 10_000), bars(1, 10_100))
    await stage.broker.append(BARS.name, 0, [(None, bars(1, 10_100)), (None, b"not a batch")])
    await until(lambda: stage.lane.stats()["refused"] == 1)
    assert stage.lane.stats()["bars"] == 2
    await stage.bar(bars(2, 10_050))
    assert [order[1:] for order in stage.orders()] == [("buy", "3"), ("sell", "3")]


@pytest.mark.parametrize("decided", [False, True])
async def test_after_a_kill_the_newest_bar_does_not_order_twice(stage: Stage, decided: bool) -> None:
    await stage.broker.append(BARS.name, 0, [(None, bars(0, 10_000)), (None, bars(1, 10_100))])
    await until(lambda: len(stage.orders()) == 1)
    stage.lane.revoked()
    if decided:
        await stage.owner.decide()
    await stage.start()
    await stage.settle()
    await stage.settle()
    assert len({order[0] for order in stage.orders()}) == 1
    assert len(stage.owner.states[0].orders) == 1
    assert stage.lane.stats()["warmed"] == 1
    await stage.fill()
    await stage.bar(bars(2, 10_000))
    assert [order[1] for order in stage.orders()][-1] == "sell"
    assert len(stage.owner.states[0].orders) == 2


async def test_old_bars_warm_up_and_ask_for_nothing(tmp_path: Path) -> None:
    made = Stage(tmp_path)
    closes = [10_000, 10_100, 9_900, 10_100, 10_000, 10_000]
    await made.broker.append(BARS.name, 0, [(None, bars(n, close)) for n, close in enumerate(closes)])
    await made.owner.fence()
    await made.start()
    await made.settle()
    assert made.orders() == []
    assert made.lane.stats()["warmed"] == 5
    await made.bar(bars(6, 10_100))
    assert [order[1:] for order in made.orders()] == [("buy", "3")]
    await made.lane.close()


async def test_ticks_come_when_asked_for(tmp_path: Path) -> None:
    made = Stage(tmp_path, ticks=True)
    await made.owner.fence()
    await made.start()
    await made.broker.append(TICKS.name, 0, [(None, tick(TRADE, 10_000, 1).encode()), (None, b"")])
    await until(lambda: made.lane.stats()["ticks"] == 1 and made.lane.stats()["refused"] == 1)
    await made.lane.close()


async def test_the_other_partitions_pass(tmp_path: Path) -> None:
    made = Stage(tmp_path, account="b0")
    made.context = FlowContext(
        made.settings.model_copy(update={"orders": OrderSettings(partitions=4)}), tmp_path, made.broker
    )
    lanes = [StrategyLane(made.context, number) for number in range(4)]
    assert [lane.stats()["runs"] for lane in lanes].count(True) == 1
    idle = next(lane for lane in lanes if not lane.stats()["runs"])
    assert await idle.open() == 0
    await made.owner.fence()
    records = made.broker.records[ORDERS_JOURNAL.name, 0]
    assert await idle.process(records) == len(records)
    await idle.tick()
    await idle.close()


@pytest.mark.parametrize(
    "wrong", [{"name": "nonsense"}, {"parameters": {}}, {"parameters": {"instrument": "NONE.SIM"}}]
)
async def test_a_strategy_that_cannot_be_made_is_refused_at_the_start(tmp_path: Path, wrong: dict[str, Any]) -> None:
    service = FLOW.service
    assert service is not None
    with pytest.raises(ConfigError, match="strategy"):
        await service.start(_context(tmp_path, wrong))


def _context(home: Path, wrong: dict[str, Any]) -> FlowContext:
    settings = Settings(home=home, strategy=StrategySettings.model_validate(wrong))
    return FlowContext(settings, home, MemoryBroker())


def _encoded(**changes: Any) -> bytes:
    return encode_command(fill(price="101", **changes))
