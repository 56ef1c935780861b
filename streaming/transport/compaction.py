"""Compaction of a partition's sealed segments: the newest record of each key stays, at its offset.

A tombstone (null value) stays for a day as the newest record of its key, so that readers learn of the deletion.
`rewrite` runs for long beside the event loop over files that do not change, and rests as it goes: a thread that only
computes would have the interpreter whenever the loop lets go of it. `swap` puts its result in place.
"""

import os
import time
from collections.abc import Callable, Sequence
from threading import Event

import msgspec

from streaming.transport.segment import Segment, sync_folder

TOMBSTONE_KEPT_MS = 24 * 3600 * 1000
REST_SHARE = 3.0
_STRETCH_BYTES = 64 << 10
Rest = Callable[[], None]


class _Place(msgspec.Struct, frozen=True, gc=False):
    """Where the newest frame of a key is, and the time of its tombstone (-1: none)."""

    offset: int
    source: int
    start: int
    end: int
    gone_ms: int


class Rests:
    """Each call sleeps so many times as long as the work since the last one took; not once `closing` is set."""

    def __init__(self, closing: Event) -> None:
        self._closing = closing
        self._since = time.perf_counter()

    def __call__(self) -> None:
        """Sleep."""
        self._closing.wait((time.perf_counter() - self._since) * REST_SHARE)
        self._since = time.perf_counter()


def is_due(sealed: Sequence[Segment]) -> bool:
    """Say whether as much came after the oldest segment as it holds.

    So each byte is read and written about twice, however many keys there are.
    """
    return len(sealed) > 1 and sum(segment.size for segment in sealed[1:]) >= sealed[0].size


def snapshot(segment: Segment) -> Segment:
    """Return a reader of what the segment holds now."""
    copy = Segment(segment.path.parent, segment.base)
    copy.size, copy.next_offset = segment.size, segment.next_offset
    return copy


def rewrite(sealed: Sequence[Segment], active: Segment, now_ms: int, rest: Rest) -> Segment:
    """Write what is still current of `sealed` as one synced segment beside them; return it.

    `active` is a snapshot: newer records there supersede older ones here, and it is not touched.
    """
    sources = [snapshot(segment) for segment in sealed]
    fresh = Segment(sources[0].path.parent, sources[0].base)
    fresh.path = fresh.path.with_suffix(".compacted")
    fresh.path.unlink(missing_ok=True)
    try:
        fresh.open_for_append()
        _copy(_newest([*sources, active], rest), sources, fresh, now_ms - TOMBSTONE_KEPT_MS, rest)
        os.fdatasync(fresh.write_fd)
        fresh.next_offset = sources[-1].next_offset
        fresh.sealed = True
    except BaseException:
        fresh.delete()
        raise
    finally:
        fresh.close_writer()
        for source in (*sources, active):
            source.close_reader()
    return fresh


def swap(sealed: Sequence[Segment], fresh: Segment) -> None:
    """Put what `rewrite` made in the place of its sources. Nobody may sync those at the same time."""
    for segment in sealed:
        segment.close_writer()
        segment.retired = True
    # A crash from here on must not leave the old index beside the new file.
    sealed[0].index_path.unlink(missing_ok=True)
    fresh.path.replace(final := sealed[0].path)
    fresh.path = final
    fresh.store_index(fresh.index())
    for segment in sealed[1:]:
        segment.index_path.unlink(missing_ok=True)
        segment.path.unlink(missing_ok=True)
    sync_folder(final.parent)


def _newest(segments: Sequence[Segment], rest: Rest) -> dict[bytes, _Place]:
    """Return the newest frame of each key, in their order in the log."""
    newest: dict[bytes, _Place] = {}
    for number, segment in enumerate(segments):
        start = rested = 0
        for frame, end in segment.scan(chunk_bytes=_STRETCH_BYTES):
            key = frame.key or b""
            newest.pop(key, None)
            newest[key] = _Place(frame.offset, number, start, end, frame.ts_ms if frame.value is None else -1)
            start = end
            if end - rested >= _STRETCH_BYTES:
                rested = end
                rest()
    return newest


def _copy(newest: dict[bytes, _Place], sources: Sequence[Segment], fresh: Segment, forget_ms: int, rest: Rest) -> None:
    parts: list[bytes] = []
    marks: list[tuple[int, int]] = []
    size, held, data, begin = 0, -1, b"", 0
    for place in newest.values():
        if place.source == len(sources):
            break
        if 0 <= place.gone_ms < forget_ms:
            continue
        if held != place.source or place.end > begin + len(data):
            held, begin = place.source, place.start
            data = sources[held].pread(max(_STRETCH_BYTES, place.end - begin), begin)
        marks.append((place.offset, size))
        parts.append(data[place.start - begin : place.end - begin])
        size += place.end - place.start
        if size >= _STRETCH_BYTES:
            fresh.append(b"".join(parts), marks, place.offset + 1)
            parts, marks, size = [], [], 0
            rest()
    fresh.append(b"".join(parts), marks, fresh.next_offset)
