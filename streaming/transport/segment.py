"""One segment file of a partition: frames with rising offsets, and a sparse index from offset to file position.

A sealed segment has a small index file beside it, so that a start reads only the last segment of a partition.
"""

import os
import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

from streaming.transport.client import BrokerError
from streaming.transport.frames import INDEX_STEP_BYTES, Frame, FrameError, decode, holds_valid_frame

_INDEX_HEADER = struct.Struct("<4sIqqq")
_INDEX_MARKER = b"\xf5TI\x01"
_SCAN_BYTES = 4 << 20


def corrupt(path: Path, position: int, why: str) -> BrokerError:
    """Return the error for a damaged file."""
    return BrokerError(
        "LOG_CORRUPT",
        f"{path}: damaged at byte {position}: {why}. Records behind it are intact, so nothing was cut. "
        "Restore the file from a copy, or move the partition's folder away to give its records up.",
    )


class Segment:
    """A file of frames. `size` and `next_offset` describe what is known to be written whole."""

    def __init__(self, folder: Path, base: int) -> None:
        self.path = folder / f"{base:020d}.log"
        self.base = base
        self.next_offset = base
        self.size = 0
        self.write_fd = -1
        self.sealed = False
        self.retired = False
        self.name_synced = False
        self._read_fd = -1
        self._offsets = array("q")
        self._positions = array("q")

    @property
    def index_path(self) -> Path:
        """Return where the index of a sealed segment is stored."""
        return self.path.with_suffix(".index")

    def open_for_append(self) -> None:
        """Open the file for writing, creating it if needed."""
        self.write_fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def append(self, data: bytes, marks: list[tuple[int, int]], next_offset: int) -> None:
        """Write whole frames; on an error the file is cut back to what it was and the error is raised."""
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self.write_fd, view) :]
        except OSError:
            os.ftruncate(self.write_fd, self.size)
            raise
        for offset, position in marks:
            self._mark(offset, self.size + position)
        self.size += len(data)
        self.next_offset = next_offset

    def _mark(self, offset: int, position: int) -> None:
        if not self._positions or position - self._positions[-1] >= INDEX_STEP_BYTES:
            self._offsets.append(offset)
            self._positions.append(position)

    def position_of(self, offset: int) -> int:
        """Return a file position at or before the first frame whose offset is not below `offset`."""
        at = bisect_right(self._offsets, offset) - 1
        return self._positions[at] if at >= 0 else 0

    def pread(self, size: int, position: int) -> bytes:
        """Read bytes of the written part."""
        if self._read_fd < 0:
            self._read_fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        return os.pread(self._read_fd, min(size, self.size - position), position)

    def scan(self, position: int = 0, chunk_bytes: int = _SCAN_BYTES) -> Iterator[tuple[Frame, int]]:
        """Yield frames of the written part with the positions where they end; damage is `LOG_CORRUPT`."""
        while position < self.size:
            data, at = self.pread(chunk_bytes, position), 0
            while at < len(data):
                try:
                    found = decode(data, at)
                except FrameError as error:
                    raise corrupt(self.path, position + at, str(error)) from None
                if isinstance(found, int):
                    if at == 0 and len(data) >= self.size - position:
                        raise corrupt(self.path, position, "the last frame is not whole")
                    chunk_bytes = max(chunk_bytes, found)
                    break
                frame, at = found
                yield frame, position + at
            position += at

    def recover(self, *, last: bool, dense: bool) -> int:
        """Read the file from the start and build the index; return the number of bytes that were cut from its tail.

        Only the last segment may have a torn tail. Anything invalid with valid frames behind it is `LOG_CORRUPT`.
        A `dense` segment holds every offset.
        """
        file_size = self.path.stat().st_size
        self.size, good = file_size, 0
        try:
            for frame, end in self.scan():
                if frame.offset < self.next_offset or (dense and frame.offset > self.next_offset):
                    raise corrupt(self.path, good, f"offset {frame.offset} where {self.next_offset} was expected")
                self._mark(frame.offset, good)
                self.next_offset, good = frame.offset + 1, end
        except BrokerError:
            self.size = file_size
            if not last or holds_valid_frame(self.pread(file_size - good, good)):
                raise
        self.size = good
        if good < file_size:
            os.truncate(self.path, good)
        return file_size - good

    def write_index(self) -> None:
        """Store the index, so that the next start need not read the segment; go without it if the disk is full."""
        body = self._offsets.tobytes() + self._positions.tobytes()
        head = _INDEX_HEADER.pack(_INDEX_MARKER, crc32(body), self.size, self.next_offset, len(self._offsets))
        draft = self.index_path.with_suffix(".draft")
        try:
            draft.write_bytes(head + body)
            draft.replace(self.index_path)
        except OSError:
            draft.unlink(missing_ok=True)

    def load_index(self) -> bool:
        """Take over the stored index; return False if there is none that fits the file."""
        try:
            data = self.index_path.read_bytes()
            marker, crc, size, next_offset, count = _INDEX_HEADER.unpack_from(data)
        except (FileNotFoundError, struct.error):
            return False
        body = data[_INDEX_HEADER.size :]
        fits = marker == _INDEX_MARKER and crc == crc32(body) and len(body) == 16 * count
        if not fits or size != self.path.stat().st_size:
            return False
        self._offsets.frombytes(body[: 8 * count])
        self._positions.frombytes(body[8 * count :])
        self.size, self.next_offset = size, next_offset
        return True

    def close_reader(self) -> None:
        """Give the read descriptor back; the next read opens it again."""
        if self._read_fd >= 0:
            os.close(self._read_fd)
            self._read_fd = -1

    def close_writer(self) -> None:
        """Give the write descriptor back."""
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1

    def delete(self) -> None:
        """Remove the files. Whoever still syncs the old descriptor may go on."""
        self.retired = True
        self.close_reader()
        self.index_path.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
