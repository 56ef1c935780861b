"""The ordered writer against a producer that answers when the test says so."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError, UnknownTopicOrPartitionError

from streaming.transport.client import BrokerError
from streaming.transport.kafka_writer import QUEUE_MAX, PartitionWriter, broker_error
from tests.streaming.transport.apps import until

BATCH_RECORDS = 3


class Batch:
    """Holds three records at most."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    def append(self, *, key: bytes | None, value: bytes, timestamp: None) -> object | None:
        if len(self.values) == BATCH_RECORDS:
            return None
        self.values.append(value)
        return self

    def record_count(self) -> int:
        return len(self.values)

    def close(self) -> None:
        """Need nothing."""


class Producer:
    """Keeps sent batches; `answer` acknowledges the oldest one that is open."""

    def __init__(self, *, at_once: bool = True) -> None:
        self.at_once = at_once
        self.stored: list[bytes] = []
        self.open: list[tuple[Batch, asyncio.Future[Any]]] = []

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> asyncio.Future[Any]:
        assert not self.open, "two batches under way could swap"
        sent: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.open.append((batch, sent))
        if self.at_once:
            self.answer()
        return sent

    def answer(self) -> None:
        batch, sent = self.open.pop(0)
        sent.set_result(SimpleNamespace(offset=len(self.stored)))
        self.stored += batch.values


def writer_of(producer: Producer, timeout_s: float = 30.0) -> PartitionWriter:
    """Return a writer to a partition that is known."""

    async def known() -> None:
        """Find nothing wrong."""

    return PartitionWriter(producer, TopicPartition("t", 0), known, timeout_s)


async def test_appends_over_many_batches_get_the_offset_of_their_first_record() -> None:
    producer = Producer()
    writer = writer_of(producer)
    sizes = [1, 5, 2, 9, 1, 1]
    firsts = await asyncio.gather(*(writer.put([(None, b"%d" % n)] * size) for n, size in enumerate(sizes)))
    assert list(firsts) == [sum(sizes[:n]) for n in range(len(sizes))]
    assert producer.stored == [b"%d" % n for n, size in enumerate(sizes) for _ in range(size)]


async def test_a_batch_that_is_not_acknowledged_holds_back_the_next_and_does_not_pile_up() -> None:
    producer = Producer(at_once=False)
    writer = writer_of(producer, timeout_s=0.02)
    with pytest.raises(BrokerError, match="outcome unknown") as refusal:
        await writer.put([(None, b"a")])
    assert (refusal.value.code, refusal.value.retriable) == ("PRODUCE_TIMEOUT", True)
    with pytest.raises(BrokerError, match="not sent"):
        await writer.put([(None, b"b")])
    assert writer.overdue
    producer.answer()
    producer.at_once = True
    assert await writer.put([(None, b"c")]) == 1
    assert producer.stored == [b"a", b"c"]
    assert not writer.overdue


async def test_what_came_late_is_sent_together() -> None:
    producer = Producer(at_once=False)
    writer = writer_of(producer)
    first = writer.put([(None, b"a")])
    await until(lambda: producer.open)
    later = [writer.put([(None, b"%d" % n)]) for n in range(3)]
    producer.at_once = True
    producer.answer()
    assert await asyncio.gather(first, *later) == [0, 1, 2, 3]
    await writer.drain()


async def test_the_queue_is_bounded() -> None:
    writer = writer_of(Producer())
    waiting = [writer.put([(None, b"v")]) for _ in range(QUEUE_MAX)]
    with pytest.raises(BrokerError) as refusal:
        writer.put([(None, b"v")])
    assert (refusal.value.code, refusal.value.retriable) == ("QUEUE_FULL", True)
    await asyncio.gather(*waiting)


def test_errors_of_aiokafka_get_our_codes() -> None:
    codes = {
        broker_error(error, "t[0]").code
        for error in (KafkaConnectionError(), MessageSizeTooLargeError(), UnknownTopicOrPartitionError())
    }
    assert codes == {"BROKER_UNREACHABLE", "MESSAGE_TOO_LARGE", "TOPIC_UNKNOWN"}
