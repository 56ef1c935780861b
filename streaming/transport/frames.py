"""The record frame on disk: a marker, a CRC-32 over everything else, the offset, the time and the two lengths.

A frame is whole or it is not there: the CRC covers the lengths too. The marker lets a reader tell a torn tail
(nothing valid behind it) from damage in the middle of a file.
"""

import struct
from collections.abc import Sequence
from zlib import crc32

import msgspec

MARKER = b"\xf5TL\x01"
_PREFIX = struct.Struct("<4sI")
_FIELDS = struct.Struct("<qqii")
_HEADER = struct.Struct("<4sIqqii")
HEADER_BYTES = _HEADER.size
INDEX_STEP_BYTES = 16 << 10
_COPIED_BYTES = 4 << 10


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One stored record."""

    offset: int
    ts_ms: int
    key: bytes | None
    value: bytes | None


class FrameError(Exception):
    """The bytes at this position are no valid frame."""


class Encoder:
    """Collects frames for one write; `marks` are (offset, position in the write) about every 16 KiB."""

    __slots__ = ("_next_mark", "marks", "parts", "size")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.marks: list[tuple[int, int]] = []
        self.size = 0
        self._next_mark = 0

    def add(self, offset: int, ts_ms: int, messages: Sequence[tuple[bytes | None, bytes | None]]) -> None:
        """Encode (key, value) pairs with consecutive offsets."""
        push, size = self.parts.append, self.size
        next_mark = self._next_mark
        for key, value in messages:
            if size >= next_mark:
                self.marks.append((offset, size))
                next_mark = size + INDEX_STEP_BYTES
            key_size = -1 if key is None else len(key)
            value_size = -1 if value is None else len(value)
            fields = _FIELDS.pack(offset, ts_ms, key_size, value_size)
            if value_size < _COPIED_BYTES:
                body = fields + (key or b"") + (value or b"")
                push(_PREFIX.pack(MARKER, crc32(body)))
                push(body)
                size += len(body) + 8
            else:
                assert value is not None
                start = fields + (key or b"")
                push(_PREFIX.pack(MARKER, crc32(value, crc32(start))))
                push(start)
                push(value)
                size += len(start) + value_size + 8
            offset += 1
        self.size, self._next_mark = size, next_mark

    def take(self) -> bytes:
        """Return the collected bytes and start anew."""
        data = b"".join(self.parts)
        self.parts, self.marks, self.size, self._next_mark = [], [], 0, 0
        return data


def decode(data: bytes, position: int) -> tuple[Frame, int] | int:
    """Return the frame at `position` and where it ends, or how many bytes are needed from there; raise `FrameError`."""
    if len(data) - position < HEADER_BYTES:
        return HEADER_BYTES
    marker, crc, offset, ts_ms, key_size, value_size = _HEADER.unpack_from(data, position)
    if marker != MARKER or key_size < -1 or value_size < -1:
        raise FrameError("no frame starts here")
    body = position + HEADER_BYTES
    middle = body + (key_size if key_size > 0 else 0)
    end = middle + (value_size if value_size > 0 else 0)
    if end > len(data):
        return end - position
    key = data[body:middle] if key_size >= 0 else None
    value = data[middle:end] if value_size >= 0 else None
    if crc32(data[position + _PREFIX.size : end]) != crc:
        raise FrameError("CRC does not match")
    return Frame(offset, ts_ms, key, value), end


def holds_valid_frame(data: bytes) -> bool:
    """Say whether a valid frame starts anywhere in `data`."""
    at = data.find(MARKER)
    while at >= 0:
        try:
            if not isinstance(decode(data, at), int):
                return True
        except FrameError:
            pass
        at = data.find(MARKER, at + 1)
    return False
