"""Reports reach the partition of their account in order, through failures that pass, and loudly through others."""

import asyncio

import pytest

from streaming.gateway import reporter as module
from streaming.gateway.reporter import Reporter
from streaming.owner.desk import partition_of
from streaming.transport.client import BrokerError
from tests.streaming.memory_broker import MemoryBroker
from tests.trading.orders.builders import ack, fill
from trading.commands import decode_command
from trading.schemas import ORDERS_COMMANDS


def said(broker: MemoryBroker, number: int) -> list[object]:
    return [decode_command(record.value or b"") for record in broker.records[ORDERS_COMMANDS.name, number]]


async def test_in_order_to_the_partition_of_the_account() -> None:
    broker = MemoryBroker()
    reporter = Reporter(broker, 4)
    reporter.start()
    names = [f"acct-{n}" for n in range(6)]
    for name in names:
        await reporter.put([ack(account=name), fill(account=name)])
    await reporter.put([])
    await reporter.flush()
    for number in range(4):
        own = [name for name in names if partition_of(name, 4) == number]
        assert said(broker, number) == [r for name in own for r in (ack(account=name), fill(account=name))]
    assert reporter.stats()["written"] == 12
    await reporter.stop()


async def test_a_full_disk_is_waited_for() -> None:
    broker = MemoryBroker()
    broker.fail_next = [BrokerError("LOG_FULL", "disk full", retriable=True)] * 2
    reporter = Reporter(broker, 1)
    reporter.start()
    await reporter.put([ack()])
    await reporter.flush()
    assert said(broker, 0) == [ack()]
    assert reporter.stats()["retries"] == 2
    await reporter.stop()


async def test_what_cannot_be_written_is_told_to_everybody() -> None:
    broker = MemoryBroker()
    broker.fail_next = [BrokerError("FSYNC_FAILED", "disk gone")]
    reporter = Reporter(broker, 1)
    reporter.start()
    await reporter.put([ack()])
    with pytest.raises(BrokerError, match="disk gone"):
        await reporter.flush()
    with pytest.raises(BrokerError, match="disk gone"):
        await reporter.put([ack()])
    with pytest.raises(BrokerError, match="disk gone"):
        reporter.check()
    await reporter.stop()


async def test_the_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    reporter = Reporter(MemoryBroker(), 1)
    await reporter.put([ack(), ack()])
    late = asyncio.create_task(reporter.put([ack()]))
    await asyncio.sleep(0)
    assert not late.done()
    reporter.start()
    await late
    await reporter.flush()
    assert reporter.stats()["written"] == 3
    await reporter.stop()
