"""The sender of aiokafka with a broker that answers when the test says so."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from streaming.transport.kafka_requests import overlap
from tests.streaming.transport.apps import until


async def test_a_partition_waits_for_its_own_batch_and_for_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = AIOKafkaProducer(bootstrap_servers="nowhere:1", enable_idempotence=True, acks="all")
    overlap(producer)
    sender, accumulator = producer._sender, producer._message_accumulator
    producer._txn_manager.set_pid_and_epoch(1, 0)
    open_: list[tuple[list[tuple[str, int]], asyncio.Future[Any]]] = []

    async def send(node: int, request: Any) -> Any:
        answer = asyncio.get_running_loop().create_future()
        places = [(topic, partition) for topic, batches in request._topics for partition, _ in batches]
        open_.append((places, answer))
        await answer
        rows = [(topic, [(partition, 0, 7, -1, 0)]) for topic, partition in places]
        return SimpleNamespace(API_VERSION=7, topics=rows)

    monkeypatch.setattr(producer.client, "send", send)
    monkeypatch.setattr(producer.client.cluster, "leader_for_partition", lambda _: 1)
    await sender.start()
    try:

        async def put(topic: str) -> Any:
            return await accumulator.add_message(TopicPartition(topic, 0), None, b"v", 5, timestamp_ms=1)

        first = await put("raw")
        await until(lambda: len(open_) == 1)
        second, again = await put("ticks"), await put("raw")
        await until(lambda: len(open_) == 2)
        assert [places for places, _ in open_] == [[("raw", 0)], [("ticks", 0)]]
        open_[1][1].set_result(None)
        await second
        assert len(open_) == 2
        assert not first.done()
        open_[0][1].set_result(None)
        await first
        await until(lambda: len(open_) == 3)
        open_[2][1].set_result(None)
        await again
    finally:
        await sender.close()
        # It was never started, so there is no connection to close.
        producer._closed = True
