"""The log of one partition: segment files in a folder, the last of which is appended to.

Bounded: a log with retention drops its oldest segments, a compacted one is rewritten by `compaction`.
"""

import errno
import os
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import structlog

from streaming.transport.client import BrokerError
from streaming.transport.frames import Frame, FrameError, decode
from streaming.transport.segment import Segment, corrupt, sync_file, sync_folder

UNSYNCED = ".unsynced"
_READ_BYTES = 128 << 10
_CURSORS = 64
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
log = structlog.get_logger(__name__)


def write_error(path: Path, error: OSError) -> BrokerError:
    """Return the broker error for a failed write."""
    if error.errno in _NO_SPACE:
        return BrokerError("LOG_FULL", f"{path}: no space left; nothing was written. Free space.", retriable=True)
    return BrokerError("LOG_WRITE_FAILED", f"{path}: {error.strerror}; nothing was written")


class Unsynced(NamedTuple):
    """A segment as it was when it was taken to be synced; `summary`, its index, is to be stored afterwards."""

    segment: Segment
    sealed: bool
    summary: bytes | None


class PartitionLog:
    """Frames by offset. One thread appends and reads; syncing takes segments from `take_unsynced`."""

    def __init__(self, folder: Path, *, segment_bytes: int, retention_bytes: int | None, compacted: bool) -> None:
        self.folder = folder
        self.compacted = compacted
        self._segment_bytes = segment_bytes
        self._retention_bytes = retention_bytes
        self._segments: list[Segment] = []
        self._bases: list[int] = []
        self._unsynced: dict[Segment, None] = {}
        self._cursors: dict[int, tuple[Segment, int]] = {}
        self._reading: Segment | None = None

    def open(self) -> None:
        """Find the segments, cut a torn tail, and make ready to append; raise `LOG_CORRUPT` for other damage."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for draft in (*self.folder.glob("*.draft"), *self.folder.glob("*.compacted")):
            draft.unlink()
        found = [Segment(self.folder, base) for base in sorted(int(path.stem) for path in self.folder.glob("*.log"))]
        while found:
            segment = found.pop(0)
            # Files are synced in order and indexed after that: behind an index every byte before it was on the disk.
            unsynced = not any(later.index_path.exists() for later in found)
            is_whole = self._open_segment(segment, last=not found, may_be_torn=unsynced)
            starts_late = bool(found) and not self.compacted and found[0].base > segment.next_offset
            if not is_whole or (unsynced and starts_late):
                self._set_aside(found)
        if not self._segments:
            self._segments.append(Segment(self.folder, 0))
        self.active.sealed = False
        self.active.open_for_append()
        self._unsynced[self.active] = None
        self._bases = [segment.base for segment in self._segments]

    def cut(self, end: int) -> int:
        """Take the records from offset `end` on out of an open log; return how many. Their bytes stay beside it."""
        gone = self.end - end
        self.abandon()
        for segment in reversed(self._segments):
            if segment.base >= end:
                self._set_aside([segment])
            elif segment.next_offset > end:
                self._cut_segment(segment, end)
        if self._segments[0].base >= end:
            Segment(self.folder, end).path.touch()
        sync_folder(self.folder)
        self._segments, self._unsynced, self._reading = [], {}, None
        self._cursors.clear()
        self.open()
        return gone

    def _cut_segment(self, segment: Segment, end: int) -> None:
        position = segment.position_of(end)
        for frame, after in segment.scan(position):
            if frame.offset >= end:
                break
            position = after
        tail = Segment(self.folder, end).path.with_suffix(UNSYNCED)
        try:
            tail.write_bytes(segment.pread(segment.size, position))
            segment.release()
            segment.index_path.unlink(missing_ok=True)
            os.truncate(segment.path, position)
            for path in (tail, segment.path):
                sync_file(path)
        except OSError as error:
            raise write_error(tail, error) from error

    def _open_segment(self, segment: Segment, *, last: bool, may_be_torn: bool) -> bool:
        """Add a segment; return False if its tail was torn, so that those behind it have no place any more."""
        end = self._segments[-1].next_offset if self._segments else segment.base
        if self.compacted and segment.base < end:
            log.warning("compaction_leftover_removed", file=str(segment.path))
            segment.delete()
            return True
        if segment.base < end or (segment.base > end and not self.compacted):
            raise corrupt(segment.path, 0, f"it starts at offset {segment.base} where {end} was expected")
        cut = 0
        if not segment.load_index():
            cut = segment.recover(may_be_torn=may_be_torn, dense=not self.compacted)
            if cut:
                log.warning("torn_tail_cut", file=str(segment.path), offset=segment.size, bytes_cut=cut)
        segment.close_reader()
        segment.sealed = not last
        self._segments.append(segment)
        return not cut

    def _set_aside(self, segments: list[Segment]) -> None:
        """Take files out of the log that were begun just before a power cut, behind a file that lost its end."""
        for segment in segments:
            aside = segment.path.with_suffix(UNSYNCED)
            segment.path.replace(aside)
            segment.index_path.unlink(missing_ok=True)
            log.error("unsynced_segment_set_aside", file=str(aside), bytes=aside.stat().st_size)
        segments.clear()

    @property
    def active(self) -> Segment:
        """Return the segment that is appended to."""
        return self._segments[-1]

    @property
    def begin(self) -> int:
        """Return the oldest offset that is held."""
        return self._segments[0].base

    @property
    def end(self) -> int:
        """Return the offset behind the newest record."""
        return self.active.next_offset

    @property
    def sealed(self) -> list[Segment]:
        """Return the segments that will not change any more."""
        return self._segments[:-1]

    @property
    def size(self) -> int:
        """Return the bytes held."""
        return sum(segment.size for segment in self._segments)

    def append(self, data: bytes, marks: list[tuple[int, int]], next_offset: int) -> None:
        """Write whole frames, all or none; raise `LOG_FULL` (try again later) or `LOG_WRITE_FAILED`."""
        active = self.active
        try:
            if active.size and active.size + len(data) > self._segment_bytes:
                active = self._roll()
            active.append(data, marks, next_offset)
        except OSError as error:
            raise write_error(active.path, error) from error
        self._unsynced[active] = None

    def _roll(self) -> Segment:
        fresh = Segment(self.folder, self.end)
        fresh.open_for_append()
        self.active.sealed = True
        self._unsynced[self.active] = None
        self._segments.append(fresh)
        self._bases.append(fresh.base)
        self._unsynced[fresh] = None
        self._enforce_retention()
        return fresh

    def keep(self, retention_bytes: int, segment_bytes: int) -> None:
        """Change the bounds; what is too much goes with the next full segment."""
        self._retention_bytes, self._segment_bytes = retention_bytes, segment_bytes

    def _enforce_retention(self) -> None:
        if self._retention_bytes is None or self.compacted:
            return
        size = self.size
        while len(self._segments) > 1 and size - self._segments[0].size >= self._retention_bytes:
            oldest = self._segments.pop(0)
            self._bases.pop(0)
            size -= oldest.size
            oldest.delete()
            log.info("segment_dropped_by_retention", file=str(oldest.path), records=oldest.next_offset - oldest.base)

    def read(self, offset: int, stop: int, max_bytes: int) -> list[Frame]:
        """Return frames with offset <= frame < stop, at least one if there is any, up to about `max_bytes`."""
        frames: list[Frame] = []
        at = max(bisect_right(self._bases, offset) - 1, 0)
        while at < len(self._segments) and self._segments[at].base < stop:
            segment = self._segments[at]
            self._switch_reader(segment)
            known, position = self._cursors.pop(offset, (None, 0))
            if known is not segment or position > segment.size:
                position = segment.position_of(offset)
            position, budget = self._read_segment(segment, position, (offset, stop, max_bytes), frames)
            if frames and (budget <= 0 or frames[-1].offset + 1 >= stop or segment is self.active):
                self._remember(frames[-1].offset + 1, segment, position)
                break
            if budget <= 0:
                break
            max_bytes, at = budget, at + 1
        return frames

    def _read_segment(
        self, segment: Segment, position: int, bounds: tuple[int, int, int], frames: list[Frame]
    ) -> tuple[int, int]:
        offset, stop, budget = bounds
        chunk_bytes = min(_READ_BYTES, budget)
        while position < segment.size and budget > 0:
            data, at = segment.pread(max(chunk_bytes, 32), position), 0
            while budget > 0:
                try:
                    found = decode(data, at)
                except FrameError as error:
                    raise corrupt(segment.path, position + at, str(error)) from None
                if isinstance(found, int):
                    break
                frame, end = found
                if frame.offset >= stop:
                    return position + at, 0
                if frame.offset >= offset:
                    frames.append(frame)
                    budget -= end - at
                at = end
            else:
                return position + at, 0
            if at == 0 and len(data) >= segment.size - position:
                raise corrupt(segment.path, position, "the last frame is not whole")
            chunk_bytes = max(_READ_BYTES, found)
            position += at
        return position, budget

    def _remember(self, offset: int, segment: Segment, position: int) -> None:
        if len(self._cursors) >= _CURSORS:
            self._cursors.pop(next(iter(self._cursors)))
        self._cursors[offset] = (segment, position)

    def _switch_reader(self, segment: Segment) -> None:
        if self._reading is not None and self._reading is not segment and self._reading.sealed:
            self._reading.close_reader()
        self._reading = segment

    def replace(self, old: list[Segment], new: Segment) -> None:
        """Put one compacted segment in the place of the oldest sealed ones, whose files are gone already."""
        for segment in old:
            segment.release()
        self._segments[: len(old)] = [new]
        self._bases = [segment.base for segment in self._segments]
        self._cursors.clear()
        self._reading = None

    def take_unsynced(self) -> list[Unsynced]:
        """Return the segments written since the last call, for `sync_segments`."""
        taken = [
            Unsynced(segment, segment.sealed, segment.index() if segment.sealed else segment.index_if_due())
            for segment in self._unsynced
        ]
        self._unsynced.clear()
        return taken

    def mark_unsynced(self) -> None:
        """Have the segment that is appended to synced once more."""
        self._unsynced[self.active] = None

    def close(self) -> None:
        """Store the index of the last segment and close the files; everything was synced before."""
        for segment in self._segments:
            segment.release()
            if segment.write_fd >= 0:
                segment.close_writer()
                segment.store_index(segment.index())

    def abandon(self) -> None:
        """Close the files as they are."""
        for segment in self._segments:
            segment.release()
            segment.close_writer()


def sync_segments(taken: list[Unsynced], sync: Callable[[int], None]) -> None:
    """Make written segments durable and store their indexes; a sealed one is closed for writing."""
    for segment, sealed, summary in taken:
        if segment.write_fd < 0:
            continue
        sync(segment.write_fd)
        if not segment.name_synced:
            sync_folder(segment.path.parent)
            segment.name_synced = True
        if sealed:
            segment.close_writer()
        if summary is not None and not segment.retired:
            segment.store_index(summary)
