"""`BrokerClient` on Apache Kafka: an idempotent producer with one ordered writer for each partition."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, KafkaTimeoutError, TopicAlreadyExistsError

from streaming.transport.client import MAX_MESSAGE_BYTES, BrokerError, Record, Span, TopicSpec
from streaming.transport.kafka_requests import overlap
from streaming.transport.kafka_writer import Messages, PartitionWriter, broker_error
from streaming.transport.topics import check_same_partitions

PRODUCE_TIMEOUT_MS = 10_000
REQUEST_TIMEOUT_MS = 10_000
BATCH_BYTES = 256 << 10
OVERHEAD_BYTES = 64 << 10
POLL_MS = 500
READ_STALL_MS = 20_000
READ_RECORDS = 5_000
TOPIC_READY_S = 15.0
T = TypeVar("T")
log = structlog.get_logger(__name__)


class KafkaClient:
    """A connection to Kafka for appends and bounded reads; consuming as a group is Faust's part."""

    def __init__(self, bootstrap: str, *, produce_timeout_ms: int = PRODUCE_TIMEOUT_MS) -> None:
        self._bootstrap = bootstrap
        self._produce_timeout_ms = produce_timeout_ms
        self._producer: AIOKafkaProducer | None = None
        self._offsets: AIOKafkaConsumer | None = None
        self._admin: AIOKafkaAdminClient | None = None
        self._writers: dict[TopicPartition, PartitionWriter] = {}

    async def start(self) -> None:
        """Connect; raise `BROKER_UNREACHABLE`."""
        if self._producer is not None:
            return
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            max_request_size=MAX_MESSAGE_BYTES + OVERHEAD_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        overlap(producer)
        offsets = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MS)
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MS)
        try:
            await producer.start()
            await offsets.start()
            await admin.start()
        except KafkaError as error:
            for connection in (producer, offsets):
                await connection.stop()
            await admin.close()
            raise broker_error(error, self._bootstrap) from error
        self._producer, self._offsets, self._admin = producer, offsets, admin

    async def stop(self) -> None:
        """Send what is queued and disconnect."""
        producer, self._producer = self._producer, None
        if producer is None or self._offsets is None or self._admin is None:
            return
        for writer in self._writers.values():
            await writer.drain()
        overdue = [tp for tp, writer in self._writers.items() if writer.overdue]
        self._writers.clear()
        if overdue:
            log.warning("kafka_appends_given_up", broker=self._bootstrap, partitions=[f"{t}[{p}]" for t, p in overdue])
            producer._message_accumulator.fail_all(KafkaTimeoutError())
        await producer.stop()
        await self._offsets.stop()
        await self._admin.close()

    async def create_topics(self, topics: Sequence[TopicSpec]) -> None:
        """Create what is missing and wait until it can be used; raise `TOPIC_MISMATCH`."""
        specs = {spec.name: spec for spec in topics}
        found = await self._partition_counts(list(specs))
        for name, count in found.items():
            check_same_partitions(specs[name], count)
        missing = [spec for name, spec in specs.items() if name not in found]
        if missing:
            await self._create(missing)
        deadline = asyncio.get_running_loop().time() + TOPIC_READY_S
        while len(found := await self._partition_counts(list(specs))) < len(specs):
            if asyncio.get_running_loop().time() > deadline:
                lacking = sorted(specs.keys() - found.keys())
                raise BrokerError("TOPIC_NOT_READY", f"{self._bootstrap}: {lacking} have no leader yet", retriable=True)
            await asyncio.sleep(0.05)

    async def _partition_counts(self, names: list[str]) -> dict[str, int]:
        described = await self._started(self._admin).describe_topics(names)
        ready = (t for t in described if t["error_code"] == 0 and all(p["leader"] >= 0 for p in t["partitions"]))
        return {topic["topic"]: len(topic["partitions"]) for topic in ready}

    async def _create(self, specs: Sequence[TopicSpec]) -> None:
        new = [NewTopic(s.name, s.partitions, -1, {}, _topic_config(s)) for s in specs]
        try:
            response = await self._started(self._admin).create_topics(new)
        except KafkaError as error:
            raise broker_error(error, self._bootstrap) from error
        for name, code, *rest in response.topic_errors:
            if code not in (0, TopicAlreadyExistsError.errno):
                raise BrokerError("TOPIC_INVALID", f"{self._bootstrap}: topic {name!r} not created: {code} {rest}")

    async def append(self, topic: str, partition: int, messages: Messages) -> int:
        """Append in order; return the first offset once all in-sync replicas have everything."""
        if not messages:
            return await self.end_offset(topic, partition)
        producer, tp = self._started(self._producer), TopicPartition(topic, partition)
        if any(len(key or b"") + len(value or b"") > MAX_MESSAGE_BYTES for key, value in messages):
            raise BrokerError("MESSAGE_TOO_LARGE", f"{topic}: over {MAX_MESSAGE_BYTES} bytes in a message")
        writer = self._writers.get(tp)
        if writer is None:
            writer = self._writers[tp] = PartitionWriter(
                producer, tp, partial(self._check_known, tp), self._produce_timeout_ms / 1000
            )
        return await asyncio.shield(writer.put(messages))

    async def _check_known(self, tp: TopicPartition) -> None:
        counts = await self._partition_counts([tp.topic])
        if tp.partition >= counts.get(tp.topic, 0):
            raise BrokerError("TOPIC_UNKNOWN", f"{self._bootstrap}: no {tp.topic}[{tp.partition}]. Create it.")

    async def read(self, topic: str, partition: int, start: int, stop: int) -> AsyncIterator[Record]:
        """Yield the held records with start <= offset < stop, up to the end as it is when the read begins."""
        start = max(start, await self.begin_offset(topic, partition))
        stop = min(stop, await self.end_offset(topic, partition))
        if start >= stop:
            return
        tp = TopicPartition(topic, partition)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, enable_auto_commit=False, auto_offset_reset="none", group_id=None
        )
        await consumer.start()
        try:
            consumer.assign([tp])
            consumer.seek(tp, start)
            stalled_ms = 0
            while await consumer.position(tp) < stop:
                records = (await consumer.getmany(tp, timeout_ms=POLL_MS, max_records=READ_RECORDS)).get(tp, [])
                stalled_ms = 0 if records else stalled_ms + POLL_MS
                if stalled_ms > READ_STALL_MS:
                    raise BrokerError(
                        "READ_STALLED", f"{topic}[{partition}]: nothing came below {stop}", retriable=True
                    )
                for record in records:
                    if record.offset < stop:
                        yield Record(topic, partition, record.offset, record.key, record.value)
        except KafkaError as error:
            raise broker_error(error, f"{topic}[{partition}]") from error
        finally:
            await consumer.stop()

    async def begin_offset(self, topic: str, partition: int) -> int:
        """Return the oldest offset held."""
        tp = TopicPartition(topic, partition)
        try:
            return int((await self._started(self._offsets).beginning_offsets([tp]))[tp])
        except KafkaError as error:
            raise broker_error(error, f"{topic}[{partition}]") from error

    async def end_offset(self, topic: str, partition: int) -> int:
        """Return the offset behind the newest record."""
        tp = TopicPartition(topic, partition)
        try:
            return int((await self._started(self._offsets).end_offsets([tp]))[tp])
        except KafkaError as error:
            raise broker_error(error, f"{topic}[{partition}]") from error

    async def spans(self, partitions: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Span]:
        """Return what each partition holds, by one request for all beginnings and one for all ends."""
        tps = [TopicPartition(*partition) for partition in partitions]
        offsets = self._started(self._offsets)
        try:
            begins, ends = await offsets.beginning_offsets(tps), await offsets.end_offsets(tps)
        except KafkaError as error:
            raise broker_error(error, f"offsets of {len(tps)} partitions") from error
        return {tuple(tp): Span(int(begins[tp]), int(ends[tp])) for tp in tps}

    async def committed(self, group: str, topic: str, partition: int) -> int | None:
        """Return what the group reads next, or None."""
        return (await self.all_committed(group, topic, [partition]))[partition]

    async def all_committed(self, group: str, topic: str, partitions: Sequence[int]) -> dict[int, int | None]:
        """Return what the group reads next of each partition, or None."""
        tps = [TopicPartition(topic, partition) for partition in partitions]
        try:
            offsets = await self._started(self._admin).list_consumer_group_offsets(group, partitions=tps)
        except KafkaError as error:
            raise broker_error(error, f"group {group}") from error
        found = {tp.partition: int(held.offset) for tp, held in offsets.items() if held.offset >= 0}
        return {partition: found.get(partition) for partition in partitions}

    def _started(self, connection: T | None) -> T:
        if self._producer is None or connection is None:
            raise BrokerError("NOT_STARTED", f"{self._bootstrap}: the client is not started")
        return connection


def _topic_config(spec: TopicSpec) -> dict[str, str]:
    # The open segment is not compacted, and whoever restores reads all of it: a minute's worth, not Kafka's week.
    policy = (
        {"cleanup.policy": "compact", "segment.ms": "60000", "min.cleanable.dirty.ratio": "0.1"}
        if spec.compacted
        else {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": str(spec.retention_bytes)}
    )
    return {**policy, "max.message.bytes": str(MAX_MESSAGE_BYTES + OVERHEAD_BYTES)}
