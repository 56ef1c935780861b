"""The last moment at which every partition of a log was on the disk, so that a power cut leaves all at one moment.

Partitions are synced one after the other: after a power cut one may hold what came of records that another has lost. A
process that dies loses nothing that it has written, so a point counts only after the machine has started anew.
"""

import os
import struct
from collections.abc import Mapping
from pathlib import Path
from zlib import crc32

import msgspec
import structlog

from streaming.transport.segment import sync_folder

FILE = "synced"
SLOT_BYTES = 1 << 16
_HEADER = struct.Struct("<4sII")
_MARKER = b"\xf5TS\x01"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
log = structlog.get_logger(__name__)


class Point(msgspec.Struct, frozen=True):
    """The ends of all partitions by `topic/number`, in the life of a machine; the highest number is the newest."""

    boot: str
    number: int
    ends: dict[str, int]


_decoder = msgspec.json.Decoder(Point)


def boot_id() -> str:
    """Return what names the life of this machine; empty where the system does not tell."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


class SyncPoints:
    """The newest point of a log, in a file with two places that are written in turn: one is always whole.

    `ends` are those of the last sync of this process.
    """

    def __init__(self, folder: Path, boot: str | None = None) -> None:
        """`boot` is for tests."""
        self._path = folder / FILE
        self._boot = boot_id() if boot is None else boot
        self._number = 0
        self._fd = -1
        self._told = False
        self.ends: Mapping[str, int] = {}

    def lost_from(self) -> Mapping[str, int]:
        """Return the ends of the newest point if the machine was started anew since; else nothing."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        points = [point for place in (0, SLOT_BYTES) if (point := _read(data[place : place + SLOT_BYTES])) is not None]
        newest = max(points, key=lambda point: point.number, default=None)
        if newest is None:
            return {}
        self._number = newest.number
        return {} if newest.boot == self._boot or not self._boot else newest.ends

    def write(self, ends: Mapping[str, int]) -> None:
        """Keep the ends of all partitions, which are synced."""
        if self._boot:
            self._write(ends)
        self.ends = ends

    def forget(self) -> None:
        """Keep no point."""
        self.close()
        if self._path.exists():
            self._path.unlink()
            sync_folder(self._path.parent)

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, ends: Mapping[str, int]) -> None:
        self._number += 1
        body = msgspec.json.encode(Point(self._boot, self._number, dict(ends)))
        try:
            if _HEADER.size + len(body) > SLOT_BYTES:
                raise OSError(f"{len(body)} bytes of ends have no room")
            if self._fd < 0:
                self._open()
            head = _HEADER.pack(_MARKER, crc32(body), len(body))
            os.pwrite(self._fd, head + body, self._number % 2 * SLOT_BYTES)
            os.fdatasync(self._fd)
        except OSError as error:
            if not self._told:
                log.warning("sync_point_not_kept", path=str(self._path), reason=str(error))
            self._told = True
            # An old point would take back what is synced since.
            self.forget()
        else:
            self._told = False

    def _open(self) -> None:
        is_new = not self._path.exists()
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if is_new:
            # Later writes change no length, so that a sync of the data alone makes them durable.
            os.pwrite(self._fd, bytes(2 * SLOT_BYTES), 0)
            os.fsync(self._fd)
            sync_folder(self._path.parent)


def _read(slot: bytes) -> Point | None:
    if len(slot) < _HEADER.size:
        return None
    marker, crc, size = _HEADER.unpack_from(slot)
    body = slot[_HEADER.size : _HEADER.size + size]
    if marker != _MARKER or crc != crc32(body):
        return None
    try:
        return _decoder.decode(body)
    except msgspec.MsgspecError:
        return None
