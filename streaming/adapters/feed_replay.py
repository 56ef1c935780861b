"""Replay of tick files at real speed, N times as fast, or as fast as possible.

The frames are a pure function of the files and the speed, so a replay that was killed goes on where it stopped. The
clock is that of the events; the wall clock is read only to wait.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from streaming.adapters.feed import Closing
from streaming.adapters.feed_files import Chunk, count_rows, find_files, read_files
from streaming.adapters.feed_rows import Rows, Texts
from streaming.adapters.feed_time import WITNESSES, event_clock
from streaming.settings import FeedSettings
from trading.ids import digest
from trading.market.batches import Array
from trading.messages import Reject

SECOND_NS = 1_000_000_000
BEFORE_ALL = -(2**63)


class Framer:
    """Cuts rows into frames: by count alone, or by count and time when it is paced."""

    def __init__(self, batch_rows: int, linger_ns: int = 0, heartbeat_ns: int = 0) -> None:
        self._batch_rows, self._linger_ns, self._heartbeat_ns = batch_rows, linger_ns, heartbeat_ns
        self._rest = Rows.empty()
        self._newest = BEFORE_ALL
        self._first: int | None = None
        self.clock_ns = BEFORE_ALL

    def add(self, rows: Rows) -> Iterator[tuple[Rows, int]]:
        """Yield the frames that are certain to be complete, each with its clock; keep the rest."""
        rows = Rows.concat([self._rest, rows]) if len(self._rest) else rows
        # The clock at a row, and so the end of a frame, depends on the rows behind it.
        self._rest = yield from self._frames(rows, len(rows) - WITNESSES)

    def rest(self) -> Iterator[tuple[Rows, int]]:
        """Yield what is left at the end of the input."""
        rows = self._rest
        self._rest = yield from self._frames(rows, len(rows))

    def _frames(self, rows: Rows, certain: int) -> Generator[tuple[Rows, int], None, Rows]:
        """Yield the frames that end at row `certain` or before; return the rows behind them."""
        if certain <= 0:
            return rows
        key, starts = self._cut(rows)
        done = 0
        for begin, end in pairwise([*starts.tolist(), len(rows)]):
            if end > certain:
                break
            yield from self._frame(rows, key, begin, end)
            done = end
        return rows.take(slice(done, None))

    def _cut(self, rows: Rows) -> tuple[Array, Array]:
        """Return the newest time so far for each row, and the first row of each frame."""
        key = event_clock(rows.ts_ns, self._newest)
        if self._first is None:
            self._first = int(key[0])
        breaks = np.zeros(1, np.int64)
        if self._linger_ns:
            slot = (key - self._first) // self._linger_ns
            breaks = np.concatenate([breaks, np.flatnonzero(np.diff(slot)) + 1])
        ends = np.append(breaks[1:], len(rows))
        return key, np.concatenate([np.arange(b, e, self._batch_rows) for b, e in zip(breaks, ends, strict=True)])

    def _frame(self, rows: Rows, key: Array, begin: int, end: int) -> Iterator[tuple[Rows, int]]:
        start = int(key[begin])
        if self._heartbeat_ns and self.clock_ns != BEFORE_ALL:
            for clock_ns in range(self.clock_ns + self._heartbeat_ns, start, self._heartbeat_ns):
                yield Rows.empty(), clock_ns
        self._newest = self.clock_ns = int(key[end - 1])
        yield rows.take(slice(begin, end)), self.clock_ns


class ReplayFeed:
    """A feed that replays one file, or a folder of files merged by time. `speed` 0 is as fast as possible."""

    def __init__(
        self,
        path: Path,
        settings: FeedSettings,
        *,
        speed: float,
        venue: str,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.venue = venue
        self._speed = speed
        self._paths = find_files(path)
        self._texts = Texts()
        self._now = now
        linger_ns = round(settings.linger_ms * 1e6 * speed)
        self._framer = Framer(settings.batch_rows, linger_ns, round(SECOND_NS * speed))
        self._rejects: list[Reject] = []
        self._total = count_rows(self._paths)
        self._sent = 0
        self._ended = False
        self._closing = Closing()
        stats = [(file.name, file.stat()) for file in self._paths]
        identity = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats]
        self.name = f"replay-{path.stem}-{digest(venue, settings.batch_rows, linger_ns, *identity)[:8]}"

    async def frames(self, start_seq: int) -> AsyncIterator[bytes]:
        """Yield the frames from `start_seq` on, each when its time has come, and at last one with `eof`."""
        seq, origin = 0, None
        async for rows, clock_ns in self._all():
            self._sent += len(rows)
            if seq < start_seq:
                self._rejects.clear()
            else:
                origin = origin or (self._now(), clock_ns)
                planned_s = (clock_ns - origin[1]) / SECOND_NS / self._speed if self._speed else 0.0
                if await self._closing.wait_for(origin[0] + planned_s - self._now()):
                    return
                yield self._encode(rows, seq, clock_ns)
            seq += 1
        self._ended = True
        yield self._encode(Rows.empty(), max(seq, start_seq), max(self._framer.clock_ns, 0), eof=True)

    def take_rejects(self) -> Sequence[Reject]:
        """Return, once, the rows before the newest frame that could not be read."""
        rejects, self._rejects = self._rejects, []
        return rejects

    def progress(self) -> float | None:
        """Return the share of the rows that has been yielded."""
        return 1.0 if self._ended else min(1.0, self._sent / max(1, self._total))

    async def close(self) -> None:
        """End the frames; the files are closed with the reader."""
        self._closing.set()

    async def _all(self) -> AsyncIterator[tuple[Rows, int]]:
        chunks = read_files(self._paths, self._texts)
        try:
            while (chunk := await asyncio.to_thread(_next, chunks)) is not None:
                self._rejects += chunk.rejects
                for frame in self._framer.add(chunk.rows):
                    yield frame
                if chunk.rejects and not len(chunk.rows):
                    # A frame without rows carries the rejects out, so that they cannot pile up.
                    yield Rows.empty(), max(self._framer.clock_ns, 0)
            for frame in self._framer.rest():
                yield frame
        finally:
            chunks.close()

    def _encode(self, rows: Rows, seq: int, clock_ns: int, *, eof: bool = False) -> bytes:
        batch = rows.batch(self._texts, feed=self.name, venue=self.venue, seq=seq, clock_ns=clock_ns, eof=eof)
        return batch.encode()


def _next(chunks: Iterator[Chunk]) -> Chunk | None:
    return next(chunks, None)
