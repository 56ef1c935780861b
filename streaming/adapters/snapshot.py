"""A state file that is either whole or absent: written beside, synced, renamed; checked by length and CRC when read."""

import os
import struct
import threading
import zlib
from collections import defaultdict
from pathlib import Path
from typing import ClassVar, TypeVar

import msgspec
import structlog

MAGIC = b"SNAP0001"
_FRAME = struct.Struct("<IIQ")

Header = TypeVar("Header", bound=msgspec.Struct)
_log = structlog.get_logger("snapshot")


class SnapshotFile:
    """One snapshot: a small typed header and an opaque body."""

    # Who gives a partition up may still write in a thread when it comes back.
    _locks: ClassVar[defaultdict[Path, threading.Lock]] = defaultdict(threading.Lock)

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = self._locks[path]

    def write(self, header: msgspec.Struct, *body: bytes | memoryview) -> None:
        """Replace the snapshot durably by parts of a body. Raises OSError; the old one then still stands."""
        head = msgspec.json.encode(header)
        crc, size = zlib.crc32(head), 0
        for part in body:
            crc, size = zlib.crc32(part, crc), size + memoryview(part).nbytes
        with self._lock:
            self._replace(MAGIC + _FRAME.pack(crc, len(head), size) + head, *body)

    def _replace(self, *parts: bytes | memoryview) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        with fresh.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def read(self, kind: type[Header]) -> tuple[Header, bytes] | None:
        """Return header and body, or None when there is no snapshot or it is broken, which is logged."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        start = len(MAGIC) + _FRAME.size
        if data[: len(MAGIC)] == MAGIC and len(data) >= start:
            crc, head_bytes, body_bytes = _FRAME.unpack_from(data, len(MAGIC))
            content = memoryview(data)[start:]
            if len(content) == head_bytes + body_bytes and zlib.crc32(content) == crc:
                try:
                    return msgspec.json.decode(content[:head_bytes], type=kind), bytes(content[head_bytes:])
                except msgspec.DecodeError as error:
                    _log.warning("snapshot_of_another_version", path=str(self.path), error=str(error))
                    return None
        _log.warning("snapshot_broken", path=str(self.path), bytes=len(data))
        return None
