"""The newest records of a partition, kept as they were appended: who follows its end need not read the disk."""

from collections import deque
from collections.abc import Sequence

import msgspec

from streaming.transport.frames import HEADER_BYTES, Frame

KEPT_BYTES = 512 << 10


class _Batch(msgspec.Struct, frozen=True, gc=False):
    """What one append brought. All who follow the partition share the frames; the collector has nothing to look at."""

    first: int
    frames: tuple[Frame, ...]
    size: int


class Recent:
    """Batches with consecutive offsets, up to about `kept_bytes`, and the last one whatever its size."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._batches: deque[_Batch] = deque()
        self._size = 0

    def add(self, first: int, ts_ms: int, messages: Sequence[tuple[bytes | None, bytes | None]], size: int) -> None:
        """Keep (key, value) pairs that get offsets from `first` on and take `size` bytes as frames."""
        frames = [Frame(first + place, ts_ms, key, value) for place, (key, value) in enumerate(messages)]
        self._batches.append(_Batch(first, tuple(frames), size))
        self._size += size
        while self._size > self._kept_bytes and len(self._batches) > 1:
            self._size -= self._batches.popleft().size

    def cut(self, end: int) -> None:
        """Forget what was not written: offsets from `end` on will be given again. A write is of whole batches."""
        while self._batches and self._batches[-1].first >= end:
            self._size -= self._batches.pop().size

    def read(self, offset: int, stop: int, max_bytes: int) -> list[Frame]:
        """Return frames with offset <= frame < stop up to about `max_bytes`; none where the first is not kept."""
        batches = self._batches
        if not batches or offset < batches[0].first:
            return []
        at = len(batches) - 1
        while batches[at].first > offset:
            at -= 1
        frames: list[Frame] = []
        while at < len(batches) and batches[at].first < stop:
            first, whole, size = batches[at].first, batches[at].frames, batches[at].size
            if offset <= first and first + len(whole) <= stop and size < max_bytes:
                frames += whole
                max_bytes -= size
            else:
                for frame in whole[max(offset - first, 0) : stop - first]:
                    if max_bytes <= 0:
                        return frames
                    frames.append(frame)
                    max_bytes -= HEADER_BYTES + len(frame.key or b"") + len(frame.value or b"")
            at += 1
        return frames
