"""Compaction of a partition's sealed segments: the newest record of each key stays, at its offset.

A tombstone (null value) stays for a day as the newest record of its key, so that readers learn of the deletion.
Runs in a worker thread over files that do not change.
"""

import os
from collections.abc import Sequence

from streaming.transport.frames import Encoder
from streaming.transport.segment import Segment, sync_folder

TOMBSTONE_KEPT_MS = 24 * 3600 * 1000
_FLUSH_BYTES = 1 << 20


def newest_offsets(segments: Sequence[Segment]) -> dict[bytes, int]:
    """Return the newest offset of each key."""
    return {frame.key or b"": frame.offset for segment in segments for frame, _ in segment.scan()}


def snapshot(segment: Segment) -> Segment:
    """Return a reader of what the segment holds now."""
    copy = Segment(segment.path.parent, segment.base)
    copy.size, copy.next_offset = segment.size, segment.next_offset
    return copy


def compact(sealed: Sequence[Segment], active: Segment, now_ms: int) -> Segment:
    """Write what is still current of `sealed` as one segment in their place and delete them; return it.

    `active` is a snapshot: newer records there supersede older ones here, and it is not touched.
    """
    sources = [snapshot(segment) for segment in sealed]
    fresh = Segment(sources[0].path.parent, sources[0].base)
    fresh.path = fresh.path.with_suffix(".compacted")
    try:
        _rewrite(sources, fresh, newest_offsets([*sources, active]), now_ms)
    except BaseException:
        fresh.delete()
        raise
    finally:
        fresh.close_writer()
        for source in (*sources, active):
            source.close_reader()
    for segment in sealed:
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
    return fresh


def _rewrite(sources: Sequence[Segment], fresh: Segment, newest: dict[bytes, int], now_ms: int) -> None:
    fresh.path.unlink(missing_ok=True)
    fresh.open_for_append()
    encoder = Encoder()
    for source in sources:
        for frame, _ in source.scan():
            expired = frame.value is None and now_ms - frame.ts_ms > TOMBSTONE_KEPT_MS
            if newest[frame.key or b""] != frame.offset or expired:
                continue
            encoder.add(frame.offset, frame.ts_ms, [(frame.key, frame.value)])
            if encoder.size >= _FLUSH_BYTES:
                _flush(fresh, encoder)
    _flush(fresh, encoder)
    os.fdatasync(fresh.write_fd)
    fresh.next_offset = sources[-1].next_offset
    fresh.sealed = True


def _flush(segment: Segment, encoder: Encoder) -> None:
    if encoder.size:
        marks = encoder.marks
        segment.append(encoder.take(), marks, segment.next_offset)
