"""A partition that is restored once serves several, each of whom has a state of its own."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from streaming.owner import snapshots
from streaming.owner.apply import apply
from streaming.owner.recovery import fold_journal, recover
from streaming.owner.shared_start import SharedStart
from streaming.transport.client import BrokerError, Record
from tests.streaming.memory_broker import MemoryBroker
from tests.streaming.order_ring import opening
from tests.streaming.poll import until
from tests.trading.orders.builders import T0, ack, canceled, fill, market, submit
from trading.commands import AnyCommand
from trading.orders.journal import append_fence
from trading.orders.snapshot import state_hash
from trading.orders.state import State
from trading.schemas import ORDERS_JOURNAL, ORDERS_STATE

BEFORE = (submit("c1"), ack("c1"), fill(qty="4"), submit("c2"), ack("c2"), canceled("c2"))
BEHIND = (fill("t2", qty="3"), submit("c3"), ack("c3"), canceled("c1"))


class Counting(MemoryBroker):
    """Counts reads of snapshots; one waits for `may_read`, and fails if there is something in `broken`."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.broken: list[BrokerError] = []

    async def read(self, topic: str, partition: int, start: int, stop: int) -> AsyncIterator[Record]:
        if topic == ORDERS_STATE.name:
            self.reads += 1
            await self.may_read.wait()
            if self.broken:
                raise self.broken.pop()
        async for record in super().read(topic, partition, start, stop):
            yield record


async def told(broker: MemoryBroker, state: State, *commands: AnyCommand) -> None:
    """Write the records of commands."""
    for command in commands:
        for account, payload in apply(state, command, "test", T0, market()).records:
            await broker.append(ORDERS_JOURNAL.name, 0, [(account.encode(), payload)])


@pytest.fixture
async def broker() -> Counting:
    """Have a journal with a snapshot in its middle."""
    made, state = Counting(), State()
    await made.append(ORDERS_JOURNAL.name, 0, [(b"", append_fence(state, "one", T0))])
    await told(made, state, *opening("a"), *BEFORE)
    taken = snapshots.cut(state, state.seq - 1)
    await snapshots.write(taken, lambda rows: made.append(ORDERS_STATE.name, 0, rows))
    await told(made, state, *BEHIND)
    return made


async def test_all_who_start_together_restore_once_and_have_the_same_state_each_for_itself(broker: Counting) -> None:
    start, end = SharedStart(takers=3), await broker.end_offset(ORDERS_JOURNAL.name, 0)
    one, two = await asyncio.gather(recover(broker, 0, end, start), recover(broker, 0, end, start))
    genesis = state_hash((await fold_journal(broker, 0, end)).state)
    assert state_hash(one.state) == state_hash(two.state) == genesis
    apply(one.state, submit("c9"), "test", T0, market())
    assert state_hash(one.state) != genesis
    assert state_hash(two.state) == genesis
    three = await recover(broker, 0, end, start)
    assert state_hash(three.state) == genesis
    assert broker.reads == 1
    assert not start._reads


async def test_whoever_is_too_many_has_nothing_of_what_another_has_taken(broker: Counting) -> None:
    start, end = SharedStart(takers=1), await broker.end_offset(ORDERS_JOURNAL.name, 0)
    broker.may_read.clear()
    asking = [asyncio.create_task(recover(broker, 0, end, start)) for _ in range(3)]
    await until(lambda: broker.reads == 1)
    broker.may_read.set()
    found = [recovered.state for recovered in await asyncio.gather(*asking)]
    apply(found[0], submit("c9"), "test", T0, market())
    hashes = [state_hash(state) for state in found]
    assert hashes[0] != hashes[1] == hashes[2]
    assert found[1] is not found[2]


async def test_records_that_came_since_are_folded_on(broker: Counting) -> None:
    start, end = SharedStart(takers=2), await broker.end_offset(ORDERS_JOURNAL.name, 0)
    first = await recover(broker, 0, end - 2, start)
    second = await recover(broker, 0, end, start)
    assert (first.position, second.position, second.folded - first.folded) == (end - 2, end, 2)
    assert state_hash(second.state) == state_hash((await fold_journal(broker, 0, end)).state)
    assert broker.reads == 1


async def test_one_who_wants_less_is_told_how_far_it_goes(broker: Counting) -> None:
    start, end = SharedStart(takers=2), await broker.end_offset(ORDERS_JOURNAL.name, 0)
    await recover(broker, 0, end, start)
    second = await recover(broker, 0, end - 2, start)
    assert second.position == end
    assert state_hash(second.state) == state_hash((await fold_journal(broker, 0, end)).state)


async def test_rows_that_came_since_are_read(broker: Counting) -> None:
    start, journal_end = SharedStart(takers=2), await broker.end_offset(ORDERS_JOURNAL.name, 0)
    end = await broker.end_offset(ORDERS_STATE.name, 0)
    await start.read(broker, 0, end, journal_end)
    await broker.append(ORDERS_STATE.name, 0, [(b"redo/9", None)])
    await start.read(broker, 0, end + 1, journal_end)
    assert broker.reads == 2


async def test_one_that_is_cancelled_leaves_the_reading_to_the_others(broker: Counting) -> None:
    start, end = SharedStart(takers=2), await broker.end_offset(ORDERS_STATE.name, 0)
    broker.may_read.clear()
    first, second = (asyncio.create_task(start.read(broker, 0, end, 0)) for _ in range(2))
    await until(lambda: broker.reads == 1)
    first.cancel()
    broker.may_read.set()
    assert (await second).found.state.orders
    assert broker.reads == 1


async def test_a_reading_that_failed_is_done_again(broker: Counting) -> None:
    start, end = SharedStart(takers=2), await broker.end_offset(ORDERS_STATE.name, 0)
    broker.broken.append(BrokerError("BROKER_UNREACHABLE", "away", retriable=True))
    with pytest.raises(BrokerError):
        await start.read(broker, 0, end, 0)
    assert (await start.read(broker, 0, end, 0)).found.state.orders
    assert broker.reads == 2


async def test_what_nobody_takes_is_kept_for_a_while_only(broker: Counting) -> None:
    start, end = SharedStart(takers=2, kept_s=0.0), await broker.end_offset(ORDERS_STATE.name, 0)
    await start.read(broker, 0, end, 0)
    await until(lambda: not start._reads)
    await start.read(broker, 0, end, 0)
    assert broker.reads == 2
