"""`BrokerClient` on the embedded broker."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from streaming.transport.broker import Broker, Fsync
from streaming.transport.client import BrokerError, Record, Span, TopicSpec
from streaming.transport.open_logs import acquire, release

_READ_BYTES = 1 << 20


class LogClient:
    """A user of the log in `folder`; many clients and Faust apps of one process share it."""

    def __init__(self, folder: Path, fsync: Fsync | None = None) -> None:
        self._folder = folder
        self._fsync = fsync
        self._open: Broker | None = None

    @property
    def _broker(self) -> Broker:
        if self._open is None:
            raise BrokerError("NOT_STARTED", f"{self._folder}: the client is not started")
        return self._open

    async def start(self) -> None:
        """Open the log, or join those who have it open; raise `LOG_IN_USE` if another process has it."""
        if self._open is None:
            self._open = acquire(self._folder, self._fsync)

    async def stop(self) -> None:
        """Leave; the last user's leave syncs and closes the log."""
        broker, self._open = self._open, None
        if broker is not None:
            await broker.flush()
            await release(broker)

    async def create_topics(self, topics: Sequence[TopicSpec]) -> None:
        """Create what is missing; raise `TOPIC_MISMATCH`."""
        self._broker.create_topics(topics)

    async def append(self, topic: str, partition: int, messages: Sequence[tuple[bytes | None, bytes | None]]) -> int:
        """Append in order; return the first offset once the log's fsync mode says that all are there."""
        first, written = self.queue(topic, partition, messages)
        await written
        return first

    def queue(
        self, topic: str, partition: int, messages: Sequence[tuple[bytes | None, bytes | None]]
    ) -> tuple[int, "asyncio.Future[None]"]:
        """Begin to append; return the first offset and the outcome; who stops waiting does not stop the write."""
        broker = self._open or self._broker
        return broker.append(broker.partition(topic, partition), messages)

    async def read(self, topic: str, partition: int, start: int, stop: int) -> AsyncIterator[Record]:
        """Yield the held records with start <= offset < stop, up to the end as it is when the read begins."""
        source = self._broker.partition(topic, partition)
        offset, stop = start, min(stop, source.visible)
        while offset < stop:
            frames = self._broker.read(source, offset, stop, _READ_BYTES)
            if not frames:
                return
            for frame in frames:
                yield Record(topic, partition, frame.offset, frame.key, frame.value)
            offset = frames[-1].offset + 1
            await asyncio.sleep(0)

    async def begin_offset(self, topic: str, partition: int) -> int:
        """Return the oldest offset held."""
        return self._broker.partition(topic, partition).log.begin

    async def end_offset(self, topic: str, partition: int) -> int:
        """Return the offset behind the newest acknowledged record."""
        return self._broker.partition(topic, partition).visible

    async def spans(self, partitions: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Span]:
        """Return what each partition holds."""
        found = {partition: self._broker.partition(*partition) for partition in partitions}
        return {partition: Span(held.log.begin, held.visible) for partition, held in found.items()}

    async def committed(self, group: str, topic: str, partition: int) -> int | None:
        """Return what the group reads next, or None."""
        return self._broker.committed(group, topic, partition)

    async def all_committed(self, group: str, topic: str, partitions: Sequence[int]) -> dict[int, int | None]:
        """Return what the group reads next of each partition, or None."""
        return {partition: self._broker.committed(group, topic, partition) for partition in partitions}
