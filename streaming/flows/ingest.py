"""The gateway: frames of one feed, in order and each once, into `ticks.raw`.

After a restart it asks the topic for the newest frame of its feed and goes on behind it. A broker that does not take
more slows the feed down; nothing is dropped. What cannot be sent as a frame goes to the dead letters.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any

import structlog

from streaming.adapters.feed import Feed, FeedError
from streaming.adapters.frame_head import FrameHead, read_head
from streaming.flow import FlowContext
from streaming.retries import Retries
from streaming.tail import Resume, find_resume, identity, known_letters
from trading.codec import MAX_MESSAGE_BYTES, encode
from trading.market.batches import empty_frame
from trading.market.shards import shard_of
from trading.messages import DeadLetter, Reject, Source
from trading.schemas import DEADLETTER, TICKS_RAW

QUEUE_FRAMES = 64
APPEND_FRAMES = 32
APPEND_BYTES = 2 << 20
PREFIX_BYTES = 64
REJECTS_PER_LETTER = 500

_log = structlog.get_logger("ingest")
Message = tuple[bytes | None, bytes | None]


class Ingest:
    """The role `ingest`."""

    def __init__(self, context: FlowContext, feed: Feed) -> None:
        self._client = context.client
        self._observe = context.observe
        self._feed = feed
        self._key = feed.venue.encode()
        self._partition = shard_of(feed.venue, context.settings.market.raw_partitions)
        self._queue: deque[tuple[bytes, FrameHead | None]] = deque()
        self._queued = asyncio.Event()
        self._taken = asyncio.Event()
        self._ended = False
        self._retries = Retries("ingest")
        self._letters: set[tuple[Source, str]] = set()
        self._totals = {"frames": 0, "ticks": 0, "bytes": 0, "oversize": 0, "unreadable_rows": 0}
        self._clock_ns = 0
        self._drained = False
        self._error: dict[str, str] | None = None

    async def run(self) -> None:
        """Send until the feed ends or `stop` is called; on return all that was taken is acknowledged."""
        resume = await find_resume(self._client, self._partition, self._feed.name)
        self._letters = await known_letters(self._client, self._feed.name)
        self._clock_ns = resume.clock_ns
        _log.info("feed_opened", feed=self._feed.name, partition=self._partition, seq=resume.seq, drained=resume.eof)
        if resume.eof and self._feed.progress() is not None:
            self._drained = True
            await self._feed.close()
            return
        pull = asyncio.create_task(self._pull(resume), name="ingest-pull")
        try:
            await self._send()
        finally:
            pull.cancel()
            await asyncio.wait([pull])
            await self._feed.close()
        if not pull.cancelled():
            pull.result()
        if self._error is not None:
            raise FeedError(self._error["code"], self._error["message"])

    async def stop(self) -> None:
        """Take no new frame; `run` returns once the queued ones are acknowledged."""
        await self._feed.close()

    def stats(self) -> Mapping[str, Any]:
        """Return what /status shows under `feed`."""
        return {
            "name": self._feed.name,
            "venue": self._feed.venue,
            "drained": self._drained,
            "clock_ns": self._clock_ns,
            "fraction": 1.0 if self._drained else self._feed.progress(),
            "queued": len(self._queue),
            "error": self._error,
            **self._totals,
            **self._retries.stats(),
        }

    async def _pull(self, resume: Resume) -> None:
        """Move frames from the feed to the bounded queue."""
        seq = resume.seq
        try:
            async for payload in self._feed.frames(resume.seq):
                head = read_head(payload)
                seq = head.seq if head is not None else seq
                await self._letter_rejects(self._feed.take_rejects(), seq)
                if len(payload) > MAX_MESSAGE_BYTES:
                    payload = await self._refuse_oversize(payload, seq, head)
                await self._put(payload, head)
                seq += 1
        except FeedError as error:
            self._error = {"code": error.code, "message": str(error)}
            _log.error("feed_failed", feed=self._feed.name, code=error.code, message=str(error))
            await self._letter((Reject(code=error.code, message=str(error)),), seq)
        finally:
            self._ended = True
            self._queued.set()

    async def _put(self, payload: bytes, head: FrameHead | None) -> None:
        while len(self._queue) >= QUEUE_FRAMES:
            self._taken.clear()
            await self._taken.wait()
        self._queue.append((payload, head))
        self._queued.set()

    async def _send(self) -> None:
        """Append what is queued; several frames at once when there is a backlog, each its own message."""
        loop = asyncio.get_running_loop()
        while True:
            if not self._queue:
                if self._ended:
                    return
                self._queued.clear()
                await self._queued.wait()
                continue
            frames = self._take()
            messages: list[Message] = [(self._key, payload) for payload, _ in frames]
            append = partial(self._client.append, TICKS_RAW.name, self._partition, messages)
            started = loop.time()
            await self._retries.run(append)
            self._observe("append_seconds", loop.time() - started)
            self._count(frames)

    def _take(self) -> list[tuple[bytes, FrameHead | None]]:
        frames = [self._queue.popleft()]
        size = len(frames[0][0])
        while self._queue and len(frames) < APPEND_FRAMES and size + len(self._queue[0][0]) <= APPEND_BYTES:
            frames.append(self._queue.popleft())
            size += len(frames[-1][0])
        self._taken.set()
        return frames

    def _count(self, frames: Sequence[tuple[bytes, FrameHead | None]]) -> None:
        self._totals["frames"] += len(frames)
        self._totals["bytes"] += sum(len(payload) for payload, _ in frames)
        for _, head in frames:
            if head is not None:
                self._totals["ticks"] += head.rows
                self._clock_ns = max(self._clock_ns, head.clock_ns)
                self._drained = self._drained or head.eof

    async def _refuse_oversize(self, payload: bytes, seq: int, head: FrameHead | None) -> bytes:
        """Write the dead letter of a frame that no topic takes; return an empty frame in its place."""
        self._totals["oversize"] += 1
        hashed = blake2b(payload, digest_size=16).hexdigest()
        message = f"frame {seq} has {len(payload)} bytes, {MAX_MESSAGE_BYTES} allowed; its blake2b is {hashed}"
        reject = Reject(code="FRAME_TOO_LARGE", message=message, sample=payload[:PREFIX_BYTES].hex())
        await self._letter((reject,), seq)
        clock_ns = head.clock_ns if head is not None else self._clock_ns
        feed = self._feed
        return empty_frame(feed=feed.name, venue=feed.venue, seq=seq, clock_ns=clock_ns).encode()

    async def _letter_rejects(self, rejects: Sequence[Reject], seq: int) -> None:
        self._totals["unreadable_rows"] += len(rejects)
        for first in range(0, len(rejects), REJECTS_PER_LETTER):
            await self._letter(tuple(rejects[first : first + REJECTS_PER_LETTER]), seq)

    async def _letter(self, rejects: tuple[Reject, ...], seq: int) -> None:
        """Write a dead letter unless it is there from before a restart. The source names the frame, not an offset."""
        letter = DeadLetter(topic=self._feed.name, src=Source(-1, seq), ts_ns=self._clock_ns, rejects=rejects)
        if identity(letter) in self._letters:
            return
        key = f"{letter.topic}:{letter.src}".encode()
        await self._retries.run(lambda: self._client.append(DEADLETTER.name, 0, [(key, encode(letter))]))
