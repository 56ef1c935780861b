"""Appends to one partition of Kafka in the order in which they were asked for, as batches of one idempotent producer.

aiokafka swaps concurrent sends, and retries an idempotent batch for ever: so there is one writer for each partition
with one batch under way, and a batch that is not acknowledged in time is reported as such and holds back the next.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    UnknownTopicOrPartitionError,
)

from streaming.transport.client import MAX_MESSAGE_BYTES, BrokerError

QUEUE_MAX = 10_000
Messages = Sequence[tuple[bytes | None, bytes | None]]


def broker_error(error: KafkaError | BrokerError, where: str) -> BrokerError:
    """Translate an error of aiokafka; ours stays as it is."""
    if isinstance(error, BrokerError):
        return error
    if isinstance(error, KafkaConnectionError):
        return BrokerError("BROKER_UNREACHABLE", f"{where}: {error}. Is Kafka running?", retriable=True)
    if isinstance(error, MessageSizeTooLargeError):
        return BrokerError("MESSAGE_TOO_LARGE", f"{where}: over {MAX_MESSAGE_BYTES} bytes in a message")
    if isinstance(error, ProducerFenced | InvalidProducerEpoch | OutOfOrderSequenceNumber):
        return BrokerError("FENCED", f"{where}: another owner has taken over: {error!r}")
    if isinstance(error, UnknownTopicOrPartitionError):
        return BrokerError("TOPIC_UNKNOWN", f"{where}: no such topic partition. Create it.")
    return BrokerError("BROKER_FAILED", f"{where}: {error!r}", retriable=bool(error.retriable))


class PartitionWriter:
    """The queue of one partition and the task that empties it."""

    def __init__(
        self, producer: AIOKafkaProducer, tp: TopicPartition, check: Callable[[], Awaitable[None]], timeout_s: float
    ) -> None:
        self._producer = producer
        self._tp = tp
        self._check = check
        self._checked = False
        self._timeout_s = timeout_s
        self._queue: deque[tuple[Messages, asyncio.Future[int]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._under_way: asyncio.Future[Any] | None = None

    @property
    def overdue(self) -> bool:
        """Return whether the outcome of a batch is not known yet."""
        return self._under_way is not None

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
        load = BatchLoad(self._producer)
        try:
            if not self._checked:
                await self._check()
                self._checked = True
            for messages, done in taken:
                for number, (key, value) in enumerate(messages):
                    if not load.add(key, value):
                        load.resolve(await self._deliver(load.batch))
                        load.add(key, value)
                    if number == 0:
                        load.begin(done)
                load.end(done)
            load.resolve(await self._deliver(load.batch))
        except (KafkaError, BrokerError) as error:
            refusal = broker_error(error, f"{self._tp.topic}[{self._tp.partition}]")
            for _, done in taken:
                if not done.done():
                    done.set_exception(refusal)
                    done.exception()

    async def _deliver(self, batch: Any) -> int:
        if self._under_way is not None:
            await self._settle(self._under_way, "not sent: an earlier batch is not acknowledged yet")
        batch.close()
        sent = await self._producer.send_batch(batch, self._tp.topic, partition=self._tp.partition)
        await self._settle(sent, "no acknowledgement in time, outcome unknown")
        return int(sent.result().offset)

    async def _settle(self, sent: asyncio.Future[Any], otherwise: str) -> None:
        self._under_way = sent
        await asyncio.wait([sent], timeout=self._timeout_s)
        if not sent.done():
            raise BrokerError("PRODUCE_TIMEOUT", f"{self._tp.topic}[{self._tp.partition}]: {otherwise}", retriable=True)
        self._under_way = None
        sent.exception()


class BatchLoad:
    """The batch being filled, and the appends that begin and end in it."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._new_batch = producer.create_batch
        self.batch = self._new_batch()
        self._begun: list[tuple[asyncio.Future[int], int]] = []
        self._ended: list[asyncio.Future[int]] = []
        self._first: dict[asyncio.Future[int], int] = {}

    def add(self, key: bytes | None, value: bytes | None) -> bool:
        """Add one message; return False if the batch is full."""
        return self.batch.append(key=key, value=value, timestamp=None) is not None

    def begin(self, done: asyncio.Future[int]) -> None:
        """Note that the message added last is the first one of an append."""
        self._begun.append((done, self.batch.record_count() - 1))

    def end(self, done: asyncio.Future[int]) -> None:
        """Note that an append is complete with the message added last."""
        self._ended.append(done)

    def resolve(self, base: int) -> None:
        """Resolve the appends that end in the batch, which was stored at offset `base`, and start a new one."""
        self.batch = self._new_batch()
        self._first |= {done: base + position for done, position in self._begun}
        for done in self._ended:
            offset = self._first.pop(done)
            if not done.done():
                done.set_result(offset)
        self._begun, self._ended = [], []
