"""A broker in memory for tests of the runtime: the client's contract without files, and what lanes see of Faust."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from streaming.lane import Intake
from streaming.transport.client import BrokerError, Record, Span, TopicSpec


class MemoryBroker:
    """Implements `BrokerClient`. `fail_next` makes the next appends fail."""

    def __init__(self) -> None:
        self.topics: dict[str, int] = {}
        self.records: dict[tuple[str, int], list[Record]] = defaultdict(list)
        self.offsets: dict[tuple[str, str, int], int] = {}
        self.fail_next: list[BrokerError] = []

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Disconnect."""

    async def create_topics(self, topics: Sequence[TopicSpec]) -> None:
        """Create what is missing."""
        for spec in topics:
            if self.topics.setdefault(spec.name, spec.partitions) != spec.partitions:
                raise BrokerError("TOPIC_MISMATCH", f"{spec.name} has {self.topics[spec.name]} partitions")

    async def append(self, topic: str, partition: int, messages: Sequence[tuple[bytes | None, bytes | None]]) -> int:
        """Append and return the first offset."""
        first, written = self.queue(topic, partition, messages)
        await written
        return first

    def queue(
        self, topic: str, partition: int, messages: Sequence[tuple[bytes | None, bytes | None]]
    ) -> tuple[int, "asyncio.Future[None]"]:
        """Append at once; the outcome is known already."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.fail_next:
            written.set_exception(self.fail_next.pop(0))
            return -1, written
        written.set_result(None)
        log = self.records[topic, partition]
        first = len(log)
        log.extend(Record(topic, partition, first + n, key, value) for n, (key, value) in enumerate(messages))
        return first, written

    async def read(self, topic: str, partition: int, start: int, stop: int) -> AsyncIterator[Record]:
        """Yield records."""
        for record in self.records[topic, partition][start:stop]:
            yield record

    async def begin_offset(self, topic: str, partition: int) -> int:
        """Return 0."""
        return 0

    async def end_offset(self, topic: str, partition: int) -> int:
        """Return the number of records."""
        return len(self.records[topic, partition])

    async def spans(self, partitions: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Span]:
        """Return the numbers of records."""
        return {partition: Span(0, len(self.records[partition])) for partition in partitions}

    async def committed(self, group: str, topic: str, partition: int) -> int | None:
        """Return what a test has committed."""
        return self.offsets.get((group, topic, partition))

    async def all_committed(self, group: str, topic: str, partitions: Sequence[int]) -> dict[int, int | None]:
        """Return what a test has committed."""
        return {partition: self.offsets.get((group, topic, partition)) for partition in partitions}


@dataclass
class FakeMessage:
    """The part of Faust's message that lanes use: what was fetched together."""

    value: Sequence[Sequence[Record]]
    generation_id: int | None = 1


class FakeIntake:
    """The consumer as lanes see it: remembers what it was told, and up to which offset each partition is let go."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.gone: dict[int, int] = {}

    @property
    def intake(self) -> Intake:
        """Return what a lane takes."""
        return Intake(lambda _: self.told.append("full"), lambda _: self.told.append("drop"), self._let_go)

    def _let_go(self, partition: int, offset: int) -> None:
        self.gone[partition] = max(offset, self.gone.get(partition, -1))
