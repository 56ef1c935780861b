"""The fenced writer on Kafka: an idempotent producer that wears the id and epoch of a transactional one.

The transactional id makes the broker bump the epoch; the records themselves are plain, without transactions. Uses
private names of aiokafka, which `test_fenced_kafka.py` asserts.
"""

import asyncio
from collections.abc import Sequence

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from streaming.transport.client import MAX_MESSAGE_BYTES, BrokerError
from streaming.transport.fenced import BARRIER_KEY, Messages
from streaming.transport.kafka_writer import PartitionWriter, broker_error

BATCH_BYTES = 256 << 10
OVERHEAD_BYTES = 64 << 10
TAKE_OVER_S = 20.0
RETIRE_S = 5.0
log = structlog.get_logger(__name__)


class KafkaFencedWriter:
    """Each take-over makes a new producer; what the old one still had under way is refused, or stands before."""

    def __init__(self, bootstrap: str, name: str, topics: Sequence[str], partition: int, timeout_s: float) -> None:
        self._bootstrap = bootstrap
        self._id = f"{name}-{partition}"
        self._topics = topics
        self._partition = partition
        self._timeout_s = timeout_s
        self._producer: AIOKafkaProducer | None = None
        self._writers: dict[str, PartitionWriter] = {}
        self._retiring: set[asyncio.Task[None]] = set()

    async def take_over(self) -> int:
        """Bump the epoch and write a barrier to every topic."""
        try:
            self._retire()
            async with asyncio.timeout(TAKE_OVER_S):
                producer = await self._next_epoch()
                self._producer = producer
                self._writers = {
                    topic: PartitionWriter(producer, TopicPartition(topic, self._partition), _trust, self._timeout_s)
                    for topic in self._topics
                }
                offsets = [await self.append(topic, [(BARRIER_KEY, None)]) for topic in self._topics]
        except TimeoutError:
            message = f"{self._id}: no take-over in {TAKE_OVER_S} s"
            raise BrokerError("BROKER_UNREACHABLE", message, retriable=True) from None
        except KafkaError as error:
            raise broker_error(error, self._id) from error
        return offsets[0] + 1

    async def append(self, topic: str, messages: Messages) -> int:
        """Append as one or more batches; there is at least one message."""
        assert messages, "an empty batch would never be answered"
        writer = self._writers.get(topic)
        if writer is None:
            raise BrokerError("NOT_STARTED", f"{self._id}: append to {topic} before the take-over")
        return await asyncio.shield(writer.put(messages))

    async def stop(self) -> None:
        """Give up what is not acknowledged and disconnect."""
        self._retire()
        if self._retiring:
            await asyncio.wait(self._retiring, timeout=RETIRE_S)

    def _retire(self) -> None:
        # Nobody waits for the old producer: with its broker away it may hang, and the new epoch shuts it out.
        producer, self._producer = self._producer, None
        self._writers = {}
        if producer is not None:
            task = asyncio.create_task(_halt(producer))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def _next_epoch(self) -> AIOKafkaProducer:
        bumped = AIOKafkaProducer(bootstrap_servers=self._bootstrap, transactional_id=self._id)
        try:
            await bumped.start()
            pid, epoch = bumped._txn_manager.producer_id, bumped._txn_manager.producer_epoch
        finally:
            await bumped.stop()
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            max_request_size=MAX_MESSAGE_BYTES + OVERHEAD_BYTES,
        )
        producer._txn_manager.set_pid_and_epoch(pid, epoch)
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer


async def _halt(producer: AIOKafkaProducer) -> None:
    sender = producer._sender.sender_task
    try:
        if sender is not None:
            sender.cancel()
            await asyncio.wait([sender], timeout=RETIRE_S)
        # What is left would be waited for, and a batch that is tried again ends in a KeyError when it is failed.
        producer._message_accumulator._batches.clear()
        producer._message_accumulator._pending_batches.clear()
        await producer.stop()
    except Exception as error:  # noqa: BLE001 - nothing of an old producer may hurt the new one
        log.warning("old_producer_not_stopped", reason=repr(error))


async def _trust() -> None:
    """Check nothing: the topics of the order path were created before an owner starts."""
