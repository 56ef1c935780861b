"""The one writer of a partition: after `take_over` the broker refuses whatever an earlier owner still tries to write.

On `log://` the lock of the log, held for the life of the process, is the fence. On Kafka the broker counts epochs of a
producer id, and learns a new epoch of a partition with the first write to it, so a barrier (a record without value) is
written to each topic at once.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol, cast

from streaming.transport.client import BrokerClient, BrokerError
from streaming.transport.connect import bootstrap_of

Messages = Sequence[tuple[bytes | None, bytes | None]]
BARRIER_KEY = b"barrier"


class FencedWriter(Protocol):
    """Writes one partition number of a fixed set of topics. The first of them is the journal."""

    async def take_over(self) -> int:
        """Shut out every earlier writer; return the offset in the first topic that the next own record will get."""

    async def append(self, topic: str, messages: Messages) -> int:
        """Append in order; return the first offset. Raises `BrokerError` PRODUCE_TIMEOUT, FENCED and the client's."""

    async def stop(self) -> None:
        """Let go of connections."""


class Queue(Protocol):
    """What is needed of the client of the embedded log."""

    def queue(self, topic: str, partition: int, messages: Messages) -> tuple[int, "asyncio.Future[None]"]:
        """Begin to append; return the first offset, and the outcome."""

    async def end_offset(self, topic: str, partition: int) -> int:
        """Return the offset behind the newest acknowledged record."""


class LogFencedWriter:
    """On the embedded log, where no other process can write."""

    def __init__(self, client: Queue, topics: Sequence[str], partition: int, timeout_s: float) -> None:
        self._client = client
        self._topics = topics
        self._partition = partition
        self._timeout_s = timeout_s
        self._under_way: set[asyncio.Future[None]] = set()

    async def take_over(self) -> int:
        """Wait until the outcome of every own earlier write is known."""
        if self._under_way:
            await asyncio.wait(self._under_way)
        return await self._client.end_offset(self._topics[0], self._partition)

    async def append(self, topic: str, messages: Messages) -> int:
        """Append; a write that takes too long goes on, and the next take-over waits for it."""
        first, written = self._client.queue(topic, self._partition, messages)
        self._under_way.add(written)
        written.add_done_callback(self._settled)
        await _settle(written, self._timeout_s)
        if not written.done():
            place = f"{topic}[{self._partition}]"
            raise BrokerError("PRODUCE_TIMEOUT", f"{place}: no acknowledgement in {self._timeout_s} s", retriable=True)
        written.result()
        return first

    async def stop(self) -> None:
        """Wait for what is under way."""
        if self._under_way:
            await asyncio.wait(self._under_way)

    def _settled(self, written: "asyncio.Future[None]") -> None:
        self._under_way.discard(written)
        written.exception()


async def _settle(written: "asyncio.Future[None]", within_s: float) -> None:
    """Wait for an outcome, but not for ever: as `asyncio.wait`, at a third of its cost for each group of records."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()

    def end(_: object = None) -> None:
        if not over.done():
            over.set_result(None)

    timer = loop.call_later(within_s, end)
    written.add_done_callback(end)
    try:
        await over
    finally:
        timer.cancel()
        written.remove_done_callback(end)


def fenced_writer(
    url: str, client: BrokerClient, name: str, topics: Sequence[str], partition: int, timeout_s: float
) -> FencedWriter:
    """Return the writer of a partition on the broker of `url`; owners of one partition share the `name`."""
    if url.startswith("log:"):
        return LogFencedWriter(cast("Queue", client), topics, partition, timeout_s)
    from streaming.transport.fenced_kafka import KafkaFencedWriter

    return KafkaFencedWriter(bootstrap_of(url), name, topics, partition, timeout_s)
