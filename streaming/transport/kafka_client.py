"""`BrokerClient` on Apache Kafka: an idempotent producer with one ordered writer for each partition."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)

from streaming.transport.client import MAX_MESSAGE_BYTES, BrokerError, Record, TopicSpec
from streaming.transport.topics import check_same_partitions

PRODUCE_TIMEOUT_MS = 10_000
REQUEST_TIMEOUT_MS = 10_000
BATCH_BYTES = 256 << 10
OVERHEAD_BYTES = 64 << 10
QUEUE_MAX = 10_000
POLL_MS = 500
READ_STALL_MS = 20_000
READ_RECORDS = 5_000
TOPIC_READY_S = 15.0
T = TypeVar("T")
Messages = Sequence[tuple[bytes | None, bytes | None]]


def broker_error(error: KafkaError | BrokerError, where: str) -> BrokerError:
    """Translate an error of aiokafka; ours stays as it is."""
    if isinstance(error, BrokerError):
        return error
    if isinstance(error, KafkaTimeoutError):
        return BrokerError("PRODUCE_TIMEOUT", f"{where}: no acknowledgement in time, outcome unknown", retriable=True)
    if isinstance(error, KafkaConnectionError):
        return BrokerError("BROKER_UNREACHABLE", f"{where}: {error}. Is Kafka running?", retriable=True)
    if isinstance(error, MessageSizeTooLargeError):
        return BrokerError("MESSAGE_TOO_LARGE", f"{where}: over {MAX_MESSAGE_BYTES} bytes in a message")
    if isinstance(error, UnknownTopicOrPartitionError):
        return BrokerError("TOPIC_UNKNOWN", f"{where}: no such topic partition. Create it.")
    return BrokerError("BROKER_FAILED", f"{where}: {error!r}", retriable=bool(error.retriable))


class PartitionWriter:
    """Sends what is queued for one partition, one batch after the other: concurrent sends would swap their order."""

    def __init__(self, producer: AIOKafkaProducer, tp: TopicPartition, check: Callable[[], Awaitable[None]]) -> None:
        self._producer = producer
        self._tp = tp
        self._check = check
        self._checked = False
        self._queue: deque[tuple[Messages, asyncio.Future[int]]] = deque()
        self._task: asyncio.Task[None] | None = None

    def put(self, messages: Messages) -> asyncio.Future[int]:
        """Queue messages; the future holds the offset of the first."""
        if len(self._queue) >= QUEUE_MAX:
            raise BrokerError("QUEUE_FULL", f"{self._tp}: {QUEUE_MAX} appends are waiting already", retriable=True)
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._queue.append((messages, done))
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return done

    async def drain(self) -> None:
        """Wait until nothing is queued."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while self._queue:
            taken, self._queue = list(self._queue), deque()
            await self._send(taken)
        self._task = None

    async def _send(self, taken: list[tuple[Messages, asyncio.Future[int]]]) -> None:
        load = BatchLoad(self._producer, self._tp)
        try:
            if not self._checked:
                await self._check()
                self._checked = True
            for messages, done in taken:
                for number, (key, value) in enumerate(messages):
                    if not load.add(key, value):
                        await load.send()
                        load.add(key, value)
                    if number == 0:
                        load.begin(done)
                load.end(done)
            await load.send()
        except (KafkaError, BrokerError) as error:
            refusal = broker_error(error, f"{self._tp.topic}[{self._tp.partition}]")
            for _, done in taken:
                if not done.done():
                    done.set_exception(refusal)
                    done.exception()


class BatchLoad:
    """The batch being filled, and the appends that begin and end in it."""

    def __init__(self, producer: AIOKafkaProducer, tp: TopicPartition) -> None:
        self._producer = producer
        self._tp = tp
        self._batch = producer.create_batch()
        self._begun: list[tuple[asyncio.Future[int], int]] = []
        self._ended: list[asyncio.Future[int]] = []
        self._first: dict[asyncio.Future[int], int] = {}

    def add(self, key: bytes | None, value: bytes | None) -> bool:
        """Add one message; return False if the batch is full."""
        return self._batch.append(key=key, value=value, timestamp=None) is not None

    def begin(self, done: asyncio.Future[int]) -> None:
        """Note that the message added last is the first one of an append."""
        self._begun.append((done, self._batch.record_count() - 1))

    def end(self, done: asyncio.Future[int]) -> None:
        """Note that an append is complete with the message added last."""
        self._ended.append(done)

    async def send(self) -> None:
        """Send the batch, await its acknowledgement, resolve the appends that end in it, and start a new batch."""
        batch, self._batch = self._batch, self._producer.create_batch()
        begun, self._begun = self._begun, []
        ended, self._ended = self._ended, []
        batch.close()
        sent = await self._producer.send_batch(batch, self._tp.topic, partition=self._tp.partition)
        base = (await sent).offset
        self._first |= {done: base + position for done, position in begun}
        for done in ended:
            offset = self._first.pop(done)
            if not done.done():
                done.set_result(offset)


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
            request_timeout_ms=self._produce_timeout_ms,
        )
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
        self._writers.clear()
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
            writer = self._writers[tp] = PartitionWriter(producer, tp, partial(self._check_known, tp))
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

    async def committed(self, group: str, topic: str, partition: int) -> int | None:
        """Return what the group reads next, or None."""
        tp = TopicPartition(topic, partition)
        try:
            offsets = await self._started(self._admin).list_consumer_group_offsets(group, partitions=[tp])
        except KafkaError as error:
            raise broker_error(error, f"group {group}") from error
        found = offsets.get(tp)
        return None if found is None or found.offset < 0 else int(found.offset)

    def _started(self, connection: T | None) -> T:
        if self._producer is None or connection is None:
            raise BrokerError("NOT_STARTED", f"{self._bootstrap}: the client is not started")
        return connection


def _topic_config(spec: TopicSpec) -> dict[str, str]:
    policy = (
        {"cleanup.policy": "compact", "segment.ms": "600000", "min.cleanable.dirty.ratio": "0.1"}
        if spec.compacted
        else {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": str(spec.retention_bytes)}
    )
    return {**policy, "max.message.bytes": str(MAX_MESSAGE_BYTES + OVERHEAD_BYTES)}
