"""What the end of a topic tells after a restart: where a feed stopped, and which raw messages are worked already."""

from collections.abc import AsyncIterator
from typing import NamedTuple

from streaming.adapters.frame_head import read_head, read_source
from streaming.transport.client import BrokerClient, Record
from trading.codec import CodecError, decode
from trading.messages import DeadLetter, Source
from trading.schemas import DEADLETTER, TICKS_RAW

FIRST_WINDOW = 64
LARGEST_WINDOW = 4_096
# Letters of a feed that are looked at after a restart, so that none is written twice.
LETTERS = 512


class Resume(NamedTuple):
    """Where a feed goes on: its next frame, its clock, and whether it has ended."""

    seq: int = 0
    clock_ns: int = 0
    eof: bool = False


async def windows_back(client: BrokerClient, topic: str, partition: int, floor: int = 0) -> AsyncIterator[list[Record]]:
    """Yield the records from the end down to `floor`, in windows that grow; each window in order of offset."""
    stop = await client.end_offset(topic, partition)
    floor = max(floor, await client.begin_offset(topic, partition))
    size = FIRST_WINDOW
    while stop > floor:
        start = max(floor, stop - size)
        yield [record async for record in client.read(topic, partition, start, stop)]
        stop, size = start, min(LARGEST_WINDOW, 2 * size)


async def find_resume(client: BrokerClient, partition: int, feed: str) -> Resume:
    """Return where `feed` goes on. Frames behind its newest readable one that nobody can read count as its own."""
    unreadable = 0
    async for window in windows_back(client, TICKS_RAW.name, partition):
        heads = [read_head(record.value or b"") for record in window]
        own = [place for place, head in enumerate(heads) if head is not None and head.feed == feed]
        unreadable += sum(1 for head in heads[own[-1] if own else 0 :] if head is None)
        if own:
            known = [head for head in heads if head is not None and head.feed == feed]
            seq = max(head.seq for head in known) + 1 + unreadable
            return Resume(seq, max(head.clock_ns for head in known), any(head.eof for head in known))
    return Resume(unreadable)


async def known_letters(client: BrokerClient, feed: str) -> set[tuple[Source, str]]:
    """Return source and first code of the newest dead letters of a feed."""
    floor = await client.end_offset(DEADLETTER.name, 0) - LETTERS
    known = set()
    async for window in windows_back(client, DEADLETTER.name, 0, floor):
        for letter in (_letter(record) for record in window):
            if letter is not None and letter.topic == feed:
                known.add(identity(letter))
    return known


def identity(letter: DeadLetter) -> tuple[Source, str]:
    """Return what two writings of the same dead letter of a feed share."""
    first = letter.rejects[0]
    return letter.src, f"{first.code} {first.row} {first.message}"


async def newest_source(client: BrokerClient, topic: str, partition: int, raw_partition: int, floor: int) -> int:
    """Return the newest raw offset of `raw_partition` that is written in an output partition above `floor`, or -1."""
    async for window in windows_back(client, topic, partition, floor):
        sources = [_source_in(topic, record) for record in window]
        offsets = [src.offset for src in sources if src is not None and src.partition == raw_partition]
        if offsets:
            return max(offsets)
    return -1


def _source_in(topic: str, record: Record) -> Source | None:
    if topic != DEADLETTER.name:
        return read_source(record.value or b"")
    letter = _letter(record)
    return letter.src if letter is not None and letter.topic == TICKS_RAW.name else None


def _letter(record: Record) -> DeadLetter | None:
    try:
        return decode(record.value or b"", DeadLetter)
    except CodecError:
        return None
