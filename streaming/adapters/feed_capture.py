"""Replay of captured frames: the payloads of one feed in the lake's `frames_v1`, byte for byte."""

import asyncio
import heapq
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from streaming.adapters.feed import Closing, FeedError
from streaming.adapters.frame_head import FrameHead, read_head
from streaming.adapters.lake import Lake, LakeError
from trading.market.batches import empty_frame
from trading.messages import Reject
from trading.schemas import FRAMES_V1

SECOND_NS = 1_000_000_000
CHUNK_ROWS = 64
OFFSET_COLUMNS = ("feed", "src_partition", "src_offset")


class _File(NamedTuple):
    """One data file: the range of offsets that it holds."""

    first: int
    last: int
    path: str


class CaptureFeed:
    """A feed that sends captured frames again under their own name and numbers."""

    def __init__(
        self, table: Path, *, speed: float, feed: str | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        if table.name != FRAMES_V1.name:
            raise FeedError(
                "FEED_FILE_UNREADABLE", f"{table}: of the lake's tables only {FRAMES_V1.name} can be replayed"
            )
        self._speed, self._now = speed, now
        self._closing = Closing()
        self._sent = 0
        self._ended = False
        try:
            lake = Lake(table.resolve().parent.parent)
            self._paths, self._total = lake.files(FRAMES_V1), max(1, lake.rows(FRAMES_V1))
        except LakeError as error:
            raise FeedError("FEED_FILE_UNREADABLE", f"{table}: {error}") from None
        self.name, self._partition, self._files = self._survey(table, feed)
        self.venue = next((head.venue for head, _ in self._read() if head is not None), "")

    async def frames(self, start_seq: int) -> AsyncIterator[bytes]:
        """Yield the captured frames from `start_seq` on, and one with `eof` if the capture holds none."""
        frames = self._read()
        seq, clock_ns, eof = -1, 0, False
        origin: tuple[float, int] | None = None
        while (item := await asyncio.to_thread(next, frames, None)) is not None:
            head, payload = item
            # A frame that cannot be read has the number behind the one before it.
            seq = head.seq if head is not None else seq + 1
            clock_ns = head.clock_ns if head is not None else clock_ns
            eof = eof or (head is not None and head.eof)
            self._sent += 1
            if seq < start_seq:
                continue
            origin = origin or (self._now(), clock_ns)
            planned_s = (clock_ns - origin[1]) / SECOND_NS / self._speed if self._speed else 0.0
            if await self._closing.wait_for(origin[0] + planned_s - self._now()):
                return
            yield payload
        self._ended = True
        if not eof:
            last = max(seq + 1, start_seq)
            yield empty_frame(feed=self.name, venue=self.venue, seq=last, clock_ns=clock_ns, eof=True).encode()

    def take_rejects(self) -> Sequence[Reject]:
        """Return nothing: every frame is sent as it is."""
        return ()

    def progress(self) -> float | None:
        """Return the share of the captured frames that was sent."""
        return 1.0 if self._ended else min(1.0, self._sent / self._total)

    async def close(self) -> None:
        """End the frames."""
        self._closing.set()

    def _survey(self, table: Path, wanted: str | None) -> tuple[str, int, list[_File]]:
        """Return the feed, its raw partition and its files in order of offset."""
        partitions: dict[str, set[int]] = {}
        files: list[_File] = []
        for path in self._paths:
            heads = _open(path, OFFSET_COLUMNS)
            offsets = heads.column("src_offset").to_pylist()
            files.append(_File(min(offsets), max(offsets), path))
            for feed, partition in zip(heads["feed"].to_pylist(), heads["src_partition"].to_pylist(), strict=True):
                partitions.setdefault(feed, set()).add(partition)
        named = sorted(feed for feed in partitions if feed)
        if wanted is None and len(named) != 1:
            raise FeedError("FEED_AMBIGUOUS", f"{table} holds feeds {', '.join(named) or '(none)'}: add ?feed=NAME")
        name = wanted or named[0]
        if name not in partitions:
            raise FeedError("FEED_UNKNOWN", f"{table}: no feed {name!r}; it holds {', '.join(named)}")
        return name, min(partitions[name]), sorted(files)

    def _read(self) -> Iterator[tuple[FrameHead | None, bytes]]:
        """Yield the frames of the feed's partition that are its own or nobody's, in order of offset."""
        for group in _overlapping(self._files):
            rows = heapq.merge(*(_rows(file.path, self._partition) for file in group), key=lambda row: row[0])
            for _, feed, payload in rows:
                if feed in (self.name, ""):
                    yield read_head(payload), payload


def _overlapping(files: Sequence[_File]) -> Iterator[list[_File]]:
    """Yield runs of files whose ranges overlap, so that few are open at once."""
    group: list[_File] = []
    for file in files:
        if group and file.first > max(other.last for other in group):
            yield group
            group = []
        group.append(file)
    if group:
        yield group


def _rows(path: str, partition: int) -> Iterator[tuple[int, str, bytes]]:
    try:
        with pq.ParquetFile(path) as file:
            for chunk in file.iter_batches(CHUNK_ROWS, columns=[*OFFSET_COLUMNS, "payload"]):
                for row in chunk.to_pylist():
                    if row["src_partition"] == partition:
                        yield row["src_offset"], row["feed"], row["payload"]
    except (pa.ArrowException, OSError) as error:
        raise FeedError("FEED_FILE_UNREADABLE", f"{path}: {error}") from None


def _open(path: str, columns: Sequence[str]) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            return file.read(columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise FeedError("FEED_FILE_UNREADABLE", f"{path}: {error}") from None
