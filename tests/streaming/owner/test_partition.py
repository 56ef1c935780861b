"""One partition: taken over, lost, taken over again; what is fatal, and what is due by time."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from streaming.owner import partition as module
from streaming.owner.clock import EventClock
from streaming.owner.desk import NotReady, WriteLost
from streaming.owner.partition import Partition, Surroundings
from streaming.owner.prices import MarketBook
from streaming.settings import OrderSettings
from streaming.transport.client import BrokerError
from streaming.transport.fenced import BARRIER_KEY, LogFencedWriter
from tests.streaming.memory_broker import MemoryBroker
from tests.streaming.poll import until
from tests.trading.orders.builders import MODEL, T0, TABLE
from trading.commands import AnyCommand, Deposit, Kill, OpenAccount
from trading.orders.journal import JournalError, read_record
from trading.schemas import ORDERS_JOURNAL, ORDERS_STATE

FULL = BrokerError("LOG_FULL", "no space", retriable=True)


class World:
    """A partition on a broker in memory."""

    def __init__(self, **settings: object) -> None:
        self.broker = MemoryBroker()
        self.clock = EventClock()
        self.clock.advance(T0)
        self.owned: list[tuple[int, int]] = []
        self.lost: list[int] = []
        self.around = Surroundings(
            client=self.broker,
            fenced=lambda number: LogFencedWriter(self.broker, (ORDERS_JOURNAL.name, ORDERS_STATE.name), number, 1.0),
            settings=OrderSettings.model_validate({"snapshot_s": 3_600.0} | settings),
            clock=self.clock,
            book=MarketBook(TABLE, MODEL, self.clock),
            name="me",
            written=lambda *_: None,
            owned=lambda number, generation: self.owned.append((number, generation)),
            lost=self.lost.append,
            observe=lambda *_: None,
        )
        self.partition = Partition(0, self.around)

    async def start(self) -> Partition:
        self.partition.start()
        assert await self.partition.until_ready()
        return self.partition

    @property
    def causes(self) -> list[str]:
        rows = self.broker.records[ORDERS_JOURNAL.name, 0]
        return [read_record(row.value or b"").cause for row in rows]


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(module, "BACKOFF_S", (0.0, 0.01))
    made = World()
    yield made
    await made.partition.leave()


def opening(account: str = "a") -> AnyCommand:
    return OpenAccount(account=account, ts_ns=0, actor="x")


async def test_ownership_begins_with_a_fence_whose_offset_is_the_generation(world: World) -> None:
    partition = await world.start()
    await partition.execute(opening(), "t-1")
    assert world.causes == ["fence:me", "t-1"]
    assert world.owned == [(0, 0)]
    records = [read_record(row.value or b"") for row in world.broker.records[ORDERS_JOURNAL.name, 0]]
    assert [record.generation for record in records] == [0, 0]


async def test_a_lost_write_drops_the_state_and_takes_over_again(world: World) -> None:
    partition = await world.start()
    await partition.execute(opening(), "t-1")
    world.broker.fail_next.append(FULL)
    with pytest.raises(WriteLost):
        await partition.execute(opening("b"), "t-2")
    assert not partition.ready
    with pytest.raises(NotReady):
        await partition.read(lambda state: state.seq)
    assert partition.stats()["waiting"]["code"] == "LOG_FULL"
    assert await partition.until_ready()
    assert world.causes == ["fence:me", "t-1", "fence:me"]
    assert (world.owned, world.lost) == ([(0, 0), (0, 2)], [0])
    assert await partition.read(lambda state: sorted(state.accounts)) == ["a"]


async def test_take_over_is_tried_until_the_broker_takes_the_fence(world: World) -> None:
    world.broker.fail_next += [FULL] * 3
    partition = await world.start()
    assert partition.stats()["take_overs"] == 1
    assert world.causes == ["fence:me"]


async def test_who_was_fenced_off_waits_before_trying_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FENCED_WAIT_S", 60.0)
    partition = await world.start()
    world.broker.fail_next.append(BrokerError("FENCED", "another owner has taken over"))
    with pytest.raises(WriteLost):
        await partition.execute(opening(), "t-1")
    await asyncio.sleep(0.05)
    assert world.causes == ["fence:me"]
    partition.revoke()
    assert not await partition.until_ready()


async def test_what_is_set_aside_confirms_each_answer_that_writes_no_record(world: World) -> None:
    partition = await world.start()
    await partition.execute(opening(), "t-1")
    confirmations = world.broker.records[ORDERS_STATE.name, 0]
    await partition.execute(opening(), "t-2")
    await partition.read(lambda state: state.seq)
    assert confirmations == []
    partition.aside = True
    await partition.execute(opening("b"), "t-3")
    assert confirmations == []
    await partition.execute(opening("b"), "t-4")
    await partition.read(lambda state: state.seq)
    assert [row.key for row in confirmations] == [BARRIER_KEY] * 2


async def test_what_is_set_aside_and_lost_is_lost_for_good(world: World) -> None:
    partition = await world.start()
    partition.aside = True
    world.broker.fail_next.append(BrokerError("FENCED", "another owner has taken over"))
    with pytest.raises(NotReady, match="another owner"):
        await partition.read(lambda state: state.seq)
    assert not await partition.until_ready()
    assert not await partition.take_back()
    assert (world.causes, world.lost) == (["fence:me"], [0])


async def test_what_is_set_aside_is_taken_back_if_nobody_else_has_it(world: World) -> None:
    partition = await world.start()
    assert not await partition.take_back()
    partition.aside = True
    assert await partition.take_back()
    assert (partition.aside, world.causes) == (False, ["fence:me"])
    partition.aside = True
    world.broker.fail_next.append(BrokerError("FENCED", "another owner has taken over"))
    assert not await partition.take_back()


async def test_a_journal_that_does_not_hold_together_is_fatal(world: World) -> None:
    partition = await world.start()
    for name in ("a", "b"):
        await partition.execute(opening(name), f"t-{name}")
    del world.broker.records[ORDERS_JOURNAL.name, 0][1]
    again = Partition(0, world.around)
    again.start()
    with pytest.raises(JournalError, match="after 1"):
        await again.until_ready()
    await again.leave()


async def test_a_journal_that_ends_before_its_snapshot_is_not_written_on(world: World) -> None:
    partition = await world.start()
    await partition.execute(opening(), "t-1")
    await partition.close()
    world.broker.records[ORDERS_JOURNAL.name, 0].pop()
    again = Partition(0, world.around)
    again.start()
    await until(lambda: (again.stats()["waiting"] or {}).get("code") == "JOURNAL_BEHIND")
    assert not again.ready
    with pytest.raises(NotReady):
        await again.execute(opening("b"), "t-2")
    assert len(world.causes) == 1
    await again.leave()


async def test_an_error_in_the_core_drops_the_state_that_it_may_have_half_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition = await world.start()

    def broken(*_: object, **__: object) -> None:
        raise ArithmeticError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(module, "apply", broken)
        with pytest.raises(ArithmeticError):
            await partition.execute(opening(), "t-1")
    assert not partition.ready
    assert await partition.until_ready()
    await partition.execute(opening(), "t-2")


async def test_a_command_of_the_topic_is_decided_no_earlier_than_what_it_acts_on(world: World) -> None:
    partition = await world.start()
    partition.take(0, OpenAccount(account="a", ts_ns=T0 + 7, actor="x"))
    await partition.settle()
    await partition.execute(Deposit(account="a", ts_ns=T0 + 99, actor="x", ref="r", amount="5"), "http:1")
    times = [read_record(row.value or b"").ts_ns for row in world.broker.records[ORDERS_JOURNAL.name, 0]]
    assert times == [T0, T0 + 7, T0 + 7]


async def test_what_is_due_by_time_is_done_one_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    partition = await world.start()
    await partition.execute(opening(), "t-1")
    await partition.execute(Deposit(account="a", ts_ns=0, actor="x", ref="r", amount="5"), "t-2")
    monkeypatch.setattr(module, "AUDIT_S", 0.0)
    partition.tick()
    await until(lambda: partition.stats()["audits"] == 1)
    assert partition.stats()["audit_differences"] == 0
    await until(lambda: not partition._chores)
    assert partition._state is not None
    partition._state.accounts["a"].exposure.cash += 1
    partition.tick()
    await until(lambda: partition.stats()["audits"] == 2)
    assert partition.stats()["audit_differences"] == 1


async def test_a_renewal_goes_before_snapshots_and_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(snapshot_records=1)
    through = asyncio.Event()
    through.set()

    class Slow(LogFencedWriter):
        async def take_over(self) -> int:
            await through.wait()
            return await super().take_over()

    topics = (ORDERS_JOURNAL.name, ORDERS_STATE.name)
    around = replace(world.around, fenced=lambda number: Slow(world.broker, topics, number, 1.0), renew_s=0.0)
    partition = Partition(0, around)
    partition.start()
    assert await partition.until_ready()
    await partition.execute(opening(), "t-1")
    through.clear()
    for _ in range(3):
        partition.tick()
        await asyncio.sleep(0)
    assert (partition.stats()["snapshots"], world.causes) == (0, ["fence:me", "t-1"])
    through.set()
    await until(lambda: world.causes == ["fence:me", "t-1", "fence:me"])
    partition._around = replace(around, renew_s=None)
    partition.tick()
    await until(lambda: partition.stats()["snapshots"] == 1)
    assert partition.stats()["lost"] == 0
    await partition.leave()


async def test_a_clean_end_leaves_a_snapshot_and_refuses_what_comes_later(world: World) -> None:
    partition = await world.start()
    await partition.execute(opening(), "t-1")
    await partition.close()
    with pytest.raises(NotReady):
        await partition.execute(opening("b"), "t-2")
    again = Partition(0, world.around)
    again.start()
    assert await again.until_ready()
    assert again.stats()["folded"] == 0
    assert (again.stats()["lost"], partition.stats()["lost"], partition.stats()["waiting"]) == (0, 0, None)
    await again.leave()


async def test_the_status_says_whether_the_kill_switch_is_pulled(world: World) -> None:
    partition = await world.start()
    assert partition.stats()["killed"] is False
    await partition.execute(Kill(account="", ts_ns=0, actor="x"), "t-1")
    assert partition.stats()["killed"] is True
    await partition.leave()
