"""Follow whole topics outside of any consumer group: every record from the beginning, then what comes.

For compacted topics that each process reads completely, as prices and owners.
"""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streaming.transport.client import BrokerClient, Record
from streaming.transport.connect import bootstrap_of
from streaming.transport.kafka_writer import broker_error

LOG_POLL_S = 0.02
MAX_RECORDS = 5_000


class Follower(Protocol):
    """A position in each partition of one topic."""

    async def take(self, timeout_s: float) -> list[Record]:
        """Return the next records, in the order of each partition; empty if none came in time. Raises `BrokerError`."""

    async def behind(self) -> bool:
        """Say whether there are records that were not taken yet, as far as is known here. Raises `BrokerError`."""

    async def stop(self) -> None:
        """Disconnect."""


class LogFollower:
    """On the embedded log: looks for new records every 20 ms."""

    def __init__(self, client: BrokerClient, topic: str, starts: Mapping[int, int]) -> None:
        self._client = client
        self._topic = topic
        self._next = dict(starts)

    async def take(self, timeout_s: float) -> list[Record]:
        """Return the next records."""
        if found := await self._look():
            return found
        await asyncio.sleep(min(LOG_POLL_S, timeout_s))
        return await self._look()

    async def behind(self) -> bool:
        """Compare the positions with the ends."""
        for partition, position in self._next.items():
            if position < await self._client.end_offset(self._topic, partition):
                return True
        return False

    async def stop(self) -> None:
        """Need nothing."""

    async def _look(self) -> list[Record]:
        found: list[Record] = []
        for partition, position in self._next.items():
            end = await self._client.end_offset(self._topic, partition)
            if position >= end:
                continue
            start = max(position, await self._client.begin_offset(self._topic, partition))
            end = min(end, start + MAX_RECORDS)
            found += [record async for record in self._client.read(self._topic, partition, start, end)]
            self._next[partition] = end
        return found


class KafkaFollower:
    """On Kafka: a consumer without a group, connected by the first `take`."""

    def __init__(self, bootstrap: str, client: BrokerClient, topic: str, starts: Mapping[int, int]) -> None:
        self._bootstrap = bootstrap
        self._client = client
        self._topic = topic
        self._starts = dict(starts)
        self._consumer: AIOKafkaConsumer | None = None

    async def take(self, timeout_s: float) -> list[Record]:
        """Return the next records."""
        try:
            if self._consumer is None:
                self._consumer = await self._connect()
            found = await self._consumer.getmany(timeout_ms=int(timeout_s * 1000), max_records=MAX_RECORDS)
        except KafkaError as error:
            raise broker_error(error, self._topic) from error
        # A new connection goes on where this one ended.
        self._starts |= {tp.partition: records[-1].offset + 1 for tp, records in found.items() if records}
        return [
            Record(tp.topic, tp.partition, record.offset, record.key, record.value)
            for tp, records in found.items()
            for record in records
        ]

    async def behind(self) -> bool:
        """Compare the positions with the ends that came with the last records."""
        consumer = self._consumer
        if consumer is None:
            return False
        ends = {tp.partition: consumer.highwater(tp) for tp in consumer.assignment()}
        return any(end is not None and self._starts.get(number, 0) < end for number, end in ends.items())

    async def stop(self) -> None:
        """Disconnect."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def _connect(self) -> AIOKafkaConsumer:
        begins = {
            number: max(start, await self._client.begin_offset(self._topic, number))
            for number, start in self._starts.items()
        }
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, enable_auto_commit=False, auto_offset_reset="earliest", group_id=None
        )
        await consumer.start()
        consumer.assign([TopicPartition(self._topic, number) for number in self._starts])
        for number, begin in begins.items():
            consumer.seek(TopicPartition(self._topic, number), begin)
        return consumer


def follow(
    url: str, client: BrokerClient, topic: str, partitions: int, starts: Mapping[int, int] | None = None
) -> Follower:
    """Return a follower of all partitions of a topic, from `starts` or else from the oldest record on."""
    chosen = dict.fromkeys(range(partitions), 0) | dict(starts or {})
    if url.startswith("log:"):
        return LogFollower(client, topic, chosen)
    return KafkaFollower(bootstrap_of(url), client, topic, chosen)
