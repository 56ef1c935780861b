"""The producer of the `log://` transport: what streams and tables send, in the order in which they send it."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, cast

from aiokafka.partitioner import DefaultPartitioner
from faust.transport import base
from faust.types import TP, RecordMetadata

from streaming.transport.broker import Broker
from streaming.transport.client import BrokerError, TopicSpec
from streaming.transport.open_logs import acquire, parse_log_url, release


def key_partition(broker: Broker, topic: str, key: bytes | None) -> int:
    """Return the partition of a key, as Kafka's default partitioner would (murmur2)."""
    count = broker.partitions(topic)
    if count is None:
        raise BrokerError("TOPIC_UNKNOWN", f"{broker.folder}: no topic {topic!r}. Create it.")
    numbers = list(range(count))
    return cast("int", DefaultPartitioner()(key, numbers, numbers))


def create_if_missing(broker: Broker, topic: str, partitions: int, options: Mapping[str, Any]) -> None:
    """Create a topic that Faust declares; one that exists is left as it is."""
    if broker.partitions(topic) is None:
        broker.create_topics([TopicSpec(topic, partitions, compacted=bool(options.get("compacting")))])


class Producer(base.Producer):
    """Appends what streams and tables send."""

    _broker: Broker | None = None

    @property
    def broker(self) -> Broker:
        """Return the broker; the producer must be started."""
        if self._broker is None:
            raise BrokerError("NOT_STARTED", "the log:// producer is not started")
        return self._broker

    async def on_start(self) -> None:
        """Join the log."""
        self._broker = acquire(*parse_log_url(str(self.transport.url[0])))
        await super().on_start()

    async def on_stop(self) -> None:
        """Write what is queued and leave the log."""
        await super().on_stop()
        broker, self._broker = self._broker, None
        if broker is not None:
            await broker.flush()
            await release(broker)

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        *_: Any,
        **__: Any,
    ) -> Awaitable[RecordMetadata]:
        """Queue one message; the returned future resolves when it is acknowledged. Headers are not stored."""
        number = key_partition(self.broker, topic, key) if partition is None else partition
        offset, turn = self.broker.append(self.broker.partition(topic, number), [(key, value)])
        done: asyncio.Future[RecordMetadata] = self.broker.loop.create_future()

        def resolve(turn: asyncio.Future[None]) -> None:
            error = turn.exception()
            if done.done():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(RecordMetadata(topic, number, TP(topic, number), offset))

        turn.add_done_callback(resolve)
        return done

    async def send_and_wait(self, *args: Any, **kwargs: Any) -> RecordMetadata:
        """Append one message and wait until it is acknowledged."""
        return await (await self.send(*args, **kwargs))

    async def flush(self) -> None:
        """Wait until all that was sent is acknowledged."""
        await self.buffer.flush()
        await self.broker.flush()

    async def create_topic(self, topic: str, partitions: int, *_: Any, **options: Any) -> None:
        """Create a topic if it is missing."""
        create_if_missing(self.broker, topic, partitions, options)

    def key_partition(self, topic: str, key: bytes) -> TP:
        """Return the partition of a key."""
        return TP(topic, key_partition(self.broker, topic, key))

    def supports_headers(self) -> bool:
        """Return False: the log stores no headers."""
        return False
