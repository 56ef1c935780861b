"""A barrier is passed by the owner first, then by the reader of its journal."""

from streaming.gateway.barrier import OWNER, Barrier
from tests.streaming.memory_broker import MemoryBroker
from trading.schemas import ORDERS_COMMANDS, ORDERS_JOURNAL


async def test_the_owner_and_then_the_reader_must_be_there() -> None:
    broker = MemoryBroker()
    await broker.append(ORDERS_COMMANDS.name, 1, [(None, b"")] * 2)
    barrier = Barrier(broker, 1, 2)
    assert not await barrier.passed(100)
    broker.offsets[OWNER, ORDERS_COMMANDS.name, 1] = 1
    assert not await barrier.passed(100)
    await broker.append(ORDERS_JOURNAL.name, 1, [(None, b"")] * 5)
    broker.offsets[OWNER, ORDERS_COMMANDS.name, 1] = 2
    assert not await barrier.passed(4)
    # What comes later is not waited for.
    await broker.append(ORDERS_JOURNAL.name, 1, [(None, b"")])
    assert await barrier.passed(5)


async def test_nothing_was_ever_commanded() -> None:
    assert await Barrier(MemoryBroker(), 0, 0).passed(0)
