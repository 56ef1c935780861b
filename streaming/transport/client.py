"""The broker as flows use it outside of Faust: append, bounded reads, offsets, topics. Both transports implement it."""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol

import msgspec

MAX_MESSAGE_BYTES = 16 << 20


class Record(msgspec.Struct, frozen=True, gc=False):
    """One message of a topic partition, as it was read."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class TopicSpec(NamedTuple):
    """A topic to be created."""

    name: str
    partitions: int
    compacted: bool = False
    retention_bytes: int = 4 << 30


class Span(NamedTuple):
    """What a partition holds: the offset of the oldest record, and the one that the next record will get."""

    begin: int
    end: int


class BrokerError(Exception):
    """A broker operation that failed. `code` is stable; `retriable` says whether the same call may go through later."""

    def __init__(self, code: str, message: str, *, retriable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.retriable = retriable


class BrokerClient(Protocol):
    """One connection to a broker. Calls on one partition from one task keep their order."""

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Flush what is queued and disconnect. A second call does nothing."""

    async def create_topics(self, topics: Sequence[TopicSpec]) -> None:
        """Create what is missing. A topic that exists with another partition count is `TOPIC_MISMATCH`."""

    async def append(self, topic: str, partition: int, messages: Sequence[tuple[bytes | None, bytes | None]]) -> int:
        """Append (key, value) pairs in order; return the offset of the first once the broker has acknowledged all."""

    def read(self, topic: str, partition: int, start: int, stop: int) -> AsyncIterator[Record]:
        """Yield the records with start <= offset < stop that the broker still holds, in order."""

    async def begin_offset(self, topic: str, partition: int) -> int:
        """Return the offset of the oldest record that is held."""

    async def end_offset(self, topic: str, partition: int) -> int:
        """Return the offset that the next record will get."""

    async def spans(self, partitions: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Span]:
        """Return what each of the partitions holds, in as few requests as can be."""

    async def committed(self, group: str, topic: str, partition: int) -> int | None:
        """Return the offset that the consumer group will read next, or None if it never committed."""

    async def all_committed(self, group: str, topic: str, partitions: Sequence[int]) -> dict[int, int | None]:
        """Return `committed` of several partitions, in as few requests as can be."""
