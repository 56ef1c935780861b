"""Snapshots of a partition in the compacted topic `orders.state`: changed rows, then the watermark.

A crash in the middle would leave rows that are newer than the watermark, and compaction may have taken the older ones.
So the changed rows are written twice: first as parts of a redo (keys `redo/N`), which counts only when all its parts
are there, then one by one. Whoever restores lays a complete redo that is newer than the watermark over the rows.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec

from trading.orders.snapshot import (
    PARTITION,
    PartitionRow,
    changed_orders,
    changed_rows,
    restore,
    take_orders,
    watermark,
)
from trading.orders.state import State

PART_BYTES = 256 << 10
# Encoded in one go; commands wait meanwhile.
PIECE_ROWS = 100
REDO = "redo/"
Pairs = list[tuple[bytes | None, bytes | None]]
Rows = AsyncIterator[tuple[bytes | None, bytes | None]]
_watermarks = msgspec.json.Decoder(PartitionRow)


class _Part(msgspec.Struct, frozen=True, array_like=True):
    """One part of the rows of the snapshot at `seq`; the watermark is the last row of the last part."""

    seq: int
    number: int
    parts: int
    rows: list[tuple[str, bytes | None]]


_parts = msgspec.msgpack.Decoder(_Part)
_encoder = msgspec.msgpack.Encoder()


class Cut(NamedTuple):
    """The rows of one moment. They may be written once record `seq` is durable.

    `stalled_s` is the longest time that nothing could be decided meanwhile.
    """

    seq: int
    journal_off: int
    rows: list[tuple[str, bytes | None]]
    stalled_s: float = 0.0


class Restored(NamedTuple):
    """A state and the journal offset that it stands at (-1: none). `unfinished` rows must be written again."""

    state: State
    journal_off: int
    unfinished: list[tuple[str, bytes | None]]


def cut(state: State, journal_off: int) -> Cut:
    """Encode what has changed since the last cut. The newest record of the state is, or will be, at `journal_off`."""
    rows = [*changed_rows(state), watermark(state, journal_off)]
    state.dirty.clear()
    return Cut(state.seq, journal_off, rows)


async def cut_in_pieces(state: State, journal_off: Callable[[], int]) -> Cut:
    """As `cut`, but orders are encoded ahead, with pauses; at the moment of the cut those that have changed since."""
    rows: dict[str, bytes | None] = {}
    stalled_s = 0.0
    ahead = changed_orders(state)
    for first in range(0, len(ahead), PIECE_ROWS):
        started = time.perf_counter()
        rows |= take_orders(state, ahead[first : first + PIECE_ROWS])
        stalled_s = max(stalled_s, time.perf_counter() - started)
        await asyncio.sleep(0)
    started = time.perf_counter()
    taken = cut(state, journal_off())
    rows |= taken.rows
    stalled_s = max(stalled_s, time.perf_counter() - started)
    return Cut(taken.seq, taken.journal_off, list(rows.items()), stalled_s)


async def write(taken: Cut, append: Callable[[Pairs], Awaitable[int]]) -> int:
    """Write a cut durably; return the bytes."""
    parts = _split(taken.rows)
    size = 0
    for number, rows in enumerate(parts):
        value = _encoder.encode(_Part(taken.seq, number, len(parts), rows))
        size += len(value)
        await append([(f"{REDO}{number}".encode(), value)])
    return size + await write_rows(taken.rows, append)


async def write_rows(rows: Sequence[tuple[str, bytes | None]], append: Callable[[Pairs], Awaitable[int]]) -> int:
    """Write rows one by one, in pieces that leave room for the journal; return the bytes."""
    size = 0
    for piece in _split(rows):
        pairs: Pairs = [(key.encode(), value) for key, value in piece]
        size += sum(len(value or b"") for _, value in pairs)
        await append(pairs)
    return size


async def load(rows: Rows) -> Restored:
    """Return the newest whole snapshot of a partition; rows come in the order in which they were written."""
    newest: dict[str, bytes] = {}
    async for key, value in rows:
        name = (key or b"").decode()
        if value is None:
            newest.pop(name, None)
        else:
            newest[name] = value
    # Each snapshot writes these anew: only the last of them are worth a look.
    parts = [_parts.decode(newest.pop(name)) for name in list(newest) if name.startswith(REDO)]
    unfinished = _unfinished(newest, {part.number: part for part in parts})
    for name, value in unfinished:
        if value is None:
            newest.pop(name, None)
        else:
            newest[name] = value
    # Without a watermark nothing was ever whole; the journal has everything then.
    state, journal_off = restore(newest.items() if PARTITION in newest else ())
    return Restored(state, journal_off, unfinished)


def _unfinished(newest: dict[str, bytes], redo: dict[int, _Part]) -> list[tuple[str, bytes | None]]:
    head = redo.get(0)
    if head is None:
        return []
    mark = newest.get(PARTITION)
    if mark is not None and _watermarks.decode(mark).seq >= head.seq:
        return []
    parts = [redo.get(number) for number in range(head.parts)]
    if any(part is None or part.seq != head.seq for part in parts):
        return []
    return [row for part in parts if part is not None for row in part.rows]


def _split(rows: Sequence[tuple[str, bytes | None]]) -> list[list[tuple[str, bytes | None]]]:
    pieces: list[list[tuple[str, bytes | None]]] = []
    size = 0
    for row in rows:
        if not pieces or size > PART_BYTES:
            pieces.append([])
            size = 0
        pieces[-1].append(row)
        size += len(row[0]) + len(row[1] or b"")
    return pieces
