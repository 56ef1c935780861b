"""One segment file of a partition: frames with rising offsets, and a sparse index from offset to file position.

A segment has a small index file beside it, written after its bytes were synced: whole once it is sealed, else now and
then. So a start reads only what the last segment of a partition has got since.
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

_INDEX_HEADER = struct.Struct("<4sI")
_INDEX_COUNTS = struct.Struct("<qqq")
_INDEX_MARKER = b"\xf5TI\x02"
# 10,000 records of 100 bytes, which take 50 ms to read.
INDEX_EACH_BYTES = 1 << 20
_SCAN_BYTES = 4 << 20


def corrupt(path: Path, position: int, why: str) -> BrokerError:
    """Return the error for a damaged file."""
    return BrokerError(
        "LOG_CORRUPT",
        f"{path}: damaged at byte {position}: {why}. Records behind it are intact, so nothing was cut. "
        "Restore the file from a copy, or move the partition's folder away to give its records up.",
    )


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    sync_file(folder)


def sync_file(path: Path) -> None:
    """Make a file durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


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
        self._indexed_bytes = 0
        self._held = False
        self._read_fd = -1
        self._offsets = array("q")
        self._positions = array("q")

    @property
    def index_path(self) -> Path:
        """Return where the index is stored."""
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
        self._open_reader()
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

    def recover(self, *, may_be_torn: bool, dense: bool) -> int:
        """Read what the stored index does not cover; return the number of bytes that were cut from the tail.

        Anything invalid with valid frames behind it is `LOG_CORRUPT`, and so is a torn tail where none may be. A
        `dense` segment holds every offset.
        """
        file_size, good = self.path.stat().st_size, self.size
        self.size = file_size
        try:
            for frame, end in self.scan(good):
                if frame.offset < self.next_offset or (dense and frame.offset > self.next_offset):
                    raise corrupt(self.path, good, f"offset {frame.offset} where {self.next_offset} was expected")
                self._mark(frame.offset, good)
                self.next_offset, good = frame.offset + 1, end
        except BrokerError:
            self.size = file_size
            if not may_be_torn or holds_valid_frame(self.pread(file_size - good, good)):
                raise
        self.size = good
        if good < file_size:
            os.truncate(self.path, good)
        return file_size - good

    def index(self) -> bytes:
        """Return the index of what is written now, as it is stored."""
        self._indexed_bytes = self.size
        counts = _INDEX_COUNTS.pack(self.size, self.next_offset, len(self._offsets))
        body = counts + self._offsets.tobytes() + self._positions.tobytes()
        return _INDEX_HEADER.pack(_INDEX_MARKER, crc32(body)) + body

    def index_if_due(self) -> bytes | None:
        """Return the index if much was written since the last one."""
        return self.index() if self.size - self._indexed_bytes >= INDEX_EACH_BYTES else None

    def store_index(self, index: bytes) -> None:
        """Store an index, so that the next start need not read what it covers; go without it if the disk is full."""
        draft = self.index_path.with_suffix(".draft")
        try:
            draft.write_bytes(index)
            draft.replace(self.index_path)
        except OSError:
            draft.unlink(missing_ok=True)

    def load_index(self) -> bool:
        """Take over the stored index; return whether it covers the whole file. One that covers more is removed."""
        try:
            data = self.index_path.read_bytes()
            marker, crc = _INDEX_HEADER.unpack_from(data)
            size, next_offset, count = _INDEX_COUNTS.unpack_from(data, _INDEX_HEADER.size)
        except (FileNotFoundError, struct.error):
            return False
        body, file_size = data[_INDEX_HEADER.size :], self.path.stat().st_size
        if marker != _INDEX_MARKER or crc != crc32(body):
            return False
        if size > file_size:
            # The file lost its end. Grown again, it would be taken for what the index was made of.
            self.index_path.unlink()
            sync_folder(self.path.parent)
            return False
        columns = body[_INDEX_COUNTS.size :]
        self._offsets.frombytes(columns[: 8 * count])
        self._positions.frombytes(columns[8 * count :])
        self.size, self.next_offset = size, next_offset
        self._indexed_bytes = size
        return bool(size == file_size)

    def hold(self) -> None:
        """Keep the file open for reading, because its name will soon be gone or another's."""
        self._open_reader()
        self._held = True

    def release(self) -> None:
        """End `hold`, and give the read descriptor back."""
        self._held = False
        self.close_reader()

    def _open_reader(self) -> None:
        if self._read_fd < 0:
            self._read_fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    def close_reader(self) -> None:
        """Give the read descriptor back; the next read opens it again."""
        if self._read_fd >= 0 and not self._held:
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
        self.release()
        self.index_path.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
