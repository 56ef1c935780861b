"""The embedded broker behind `log://`: one instance for each folder and process, shared by all who connect to it.

Appends of one event-loop turn are written together. `always` acknowledges after fdatasync, `batch` after the write
(synced each 50 ms; a power cut leads back to the last sync of all), `off` leaves syncing to the kernel. On close all is
synced. A record is seen by readers once it is acknowledged. All methods belong to one event loop.
"""

import asyncio
import fcntl
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial as bind
from pathlib import Path
from typing import Literal

import structlog

from streaming.transport.client import MAX_MESSAGE_BYTES, BrokerError, TopicSpec
from streaming.transport.compaction import Rests, is_due, rewrite, snapshot, swap
from streaming.transport.frames import Encoder, Frame
from streaming.transport.recent import Recent
from streaming.transport.segment import Segment
from streaming.transport.segments import PartitionLog, sync_segments
from streaming.transport.sync_point import SyncPoints
from streaming.transport.topics import TopicTable

Fsync = Literal["always", "batch", "off"]
Messages = Sequence[tuple[bytes | None, bytes | None]]
SYNC_EACH_S = 0.05
SEGMENT_BYTES = 32 << 20
COMPACTED_SEGMENT_BYTES = 4 << 20
OFFSETS_TOPIC = "__offsets"
log = structlog.get_logger(__name__)


class Turn(asyncio.Future[None]):
    """The outcome of one write, shared by everybody who appended in that turn: one waiter cannot cancel the others."""

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002
        """Refuse; the waiter is cancelled once the write is decided."""
        return False


class Partition:
    """One partition: its log, what is queued for it, and who waits for its next record."""

    def __init__(self, topic: str, number: int, log_: PartitionLog) -> None:
        self.topic = topic
        self.number = number
        self.log = log_
        self.visible = log_.end
        self.queued_end = log_.end
        self.encoder = Encoder()
        self.recent = Recent()
        self.turn: Turn | None = None
        self.turn_ms = 0
        self.waiters: list[asyncio.Future[None]] = []

    def show(self, end: int) -> None:
        """Let readers see records below `end`, and wake those who wait."""
        if end > self.visible:
            self.visible = end
            waiters, self.waiters = self.waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)


class Broker:
    """Topics, partitions and group offsets in one folder."""

    def __init__(
        self, folder: Path, fsync: Fsync, sync: Callable[[int], None] = os.fdatasync, boot: str | None = None
    ) -> None:
        """`sync` and `boot`, the life of the machine, are for tests."""
        self.folder = folder
        self.fsync = fsync
        self.users = 0
        self.loop = asyncio.get_running_loop()
        self._sync = sync
        self._partitions: dict[tuple[str, int], Partition] = {}
        self._topics = TopicTable(folder)
        self._points = SyncPoints(folder, boot)
        self._lost_from: Mapping[str, int] = {}
        self._synced = asyncio.Event()
        self._committed: dict[tuple[str, str, int], int] = {}
        self._queued: list[Partition] = []
        self._unacknowledged: list[tuple[Partition, int, Turn]] = []
        self._written = False
        self._syncing: asyncio.Task[None] | None = None
        self._compacting: dict[Partition, asyncio.Task[None]] = {}
        self._failed: BrokerError | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log-sync")
        self._compactor = ThreadPoolExecutor(1, thread_name_prefix="log-compact")
        self._closing = threading.Event()
        self._lock_fd = -1

    def open(self) -> None:
        """Lock the folder and open every partition in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock()
        try:
            self._topics.load()
            self._lost_from = self._points.lost_from()
            for spec in self._topics.all():
                self._open_topic(spec)
            self._open_topic(TopicSpec(OFFSETS_TOPIC, 1, compacted=True))
            self._load_offsets()
            if self.fsync != "batch":
                self._points.forget()
            elif self._lost_from:
                self._points.write(self._ends())
            self._lost_from = {}
        except BaseException:
            self.abandon()
            raise

    def _lock(self) -> None:
        self._lock_fd = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock_fd)
            self._lock_fd = -1
            raise BrokerError(
                "LOG_IN_USE", f"{self.folder}: another process has this log open. Stop it, or use another folder."
            ) from None

    def _open_topic(self, spec: TopicSpec) -> None:
        for number in range(spec.partitions):
            partition_log = PartitionLog(
                self.folder / "topics" / spec.name / str(number),
                segment_bytes=_segment_bytes(spec),
                retention_bytes=spec.retention_bytes,
                compacted=spec.compacted,
            )
            partition_log.open()
            end = self._lost_from.get(f"{spec.name}/{number}", partition_log.end)
            if end < partition_log.end and (gone := partition_log.cut(end)):
                log.error("power_cut", topic=spec.name, partition=number, offset=end, records_set_aside=gone)
            self._partitions[spec.name, number] = Partition(spec.name, number, partition_log)

    def create_topics(self, specs: Sequence[TopicSpec]) -> None:
        """Create what is missing and take over what is kept; `TOPIC_MISMATCH` for another partition count."""
        for spec in self._topics.missing(specs):
            self._open_topic(spec)
            self._topics.add(spec)
        for spec in specs:
            known = self._topics.get(spec.name)
            if known is not None and known.retention_bytes != spec.retention_bytes:
                changed = known._replace(retention_bytes=spec.retention_bytes)
                self._topics.add(changed)
                for number in range(changed.partitions):
                    self._partitions[spec.name, number].log.keep(spec.retention_bytes, _segment_bytes(changed))

    def partitions(self, topic: str) -> int | None:
        """Return the number of partitions, or None for an unknown topic."""
        spec = self._topics.get(topic)
        return None if spec is None else spec.partitions

    def partition(self, topic: str, number: int) -> Partition:
        """Return a partition; raise `TOPIC_UNKNOWN`."""
        found = self._partitions.get((topic, number))
        if found is None:
            raise BrokerError("TOPIC_UNKNOWN", f"{self.folder}: no partition {number} of topic {topic!r}. Create it.")
        return found

    def append(self, partition: Partition, messages: Messages) -> tuple[int, Turn]:
        """Queue messages for the write of this turn; return the first offset and what to await for the outcome."""
        if self._failed is not None:
            raise self._failed
        _check(partition, messages)
        turn = partition.turn
        if turn is None:
            turn = self._begin_turn(partition)
        first, size = partition.queued_end, partition.encoder.size
        partition.encoder.add(first, partition.turn_ms, messages)
        partition.recent.add(first, partition.turn_ms, messages, partition.encoder.size - size)
        partition.queued_end = first + len(messages)
        return first, turn

    def _begin_turn(self, partition: Partition) -> Turn:
        if not self._queued:
            self.loop.call_soon(self._write)
        self._queued.append(partition)
        partition.turn = Turn(loop=self.loop)
        partition.turn_ms = time.time_ns() // 1_000_000
        return partition.turn

    def _write(self) -> None:
        queued, self._queued = self._queued, []
        for partition in queued:
            turn, partition.turn = partition.turn, None
            if turn is None:
                continue
            marks, data = partition.encoder.marks, partition.encoder.take()
            error = self._failed or self._write_one(partition, data, marks)
            if error is not None:
                partition.queued_end = partition.log.end
                partition.recent.cut(partition.queued_end)
                _refuse(turn, error)
            elif self.fsync == "always":
                self._unacknowledged.append((partition, partition.queued_end, turn))
            else:
                partition.show(partition.queued_end)
                turn.set_result(None)
        self._written = True
        if self._syncing is None and self._failed is None:
            self._syncing = self.loop.create_task(self._sync_until_idle())

    def _write_one(self, partition: Partition, data: bytes, marks: list[tuple[int, int]]) -> BrokerError | None:
        segments = len(partition.log.sealed)
        try:
            partition.log.append(data, marks, partition.queued_end)
        except BrokerError as error:
            log.warning("append_refused", code=error.code, topic=partition.topic, reason=str(error))
            return error
        sealed, busy = partition.log.sealed, partition in self._compacting
        if partition.log.compacted and len(sealed) > segments and not busy and is_due(sealed):
            self._compacting[partition] = self.loop.create_task(self._compact(partition))
        return None

    async def _sync_until_idle(self) -> None:
        while self._written and self._failed is None:
            if self.fsync != "always":
                await asyncio.sleep(SYNC_EACH_S)
            await self._sync_written()
        self._syncing = None

    async def _sync_written(self) -> None:
        self._written = False
        taken = [pair for partition in self._partitions.values() for pair in partition.log.take_unsynced()]
        unacknowledged, self._unacknowledged = self._unacknowledged, []
        sync = self._sync if self.fsync != "off" else _leave_to_kernel
        ends = self._ends()
        try:
            await self.loop.run_in_executor(self._thread, sync_segments, taken, sync)
            if self.fsync == "batch":
                await self.loop.run_in_executor(self._thread, self._points.write, ends)
        except OSError as error:
            self._fail(error, unacknowledged)
            return
        finally:
            self._synced.set()
            self._synced = asyncio.Event()
        for partition, end, turn in unacknowledged:
            partition.show(end)
            turn.set_result(None)

    def _ends(self) -> dict[str, int]:
        return {f"{topic}/{number}": partition.log.end for (topic, number), partition in self._partitions.items()}

    def _fail(self, error: OSError, unacknowledged: list[tuple[Partition, int, Turn]]) -> None:
        self._failed = BrokerError(
            "FSYNC_FAILED", f"{self.folder}: {error.strerror}. Records may be lost; nothing more is appended. Restart."
        )
        log.critical("fsync_failed", folder=str(self.folder), reason=str(error))
        for _, _, turn in unacknowledged + self._unacknowledged:
            _refuse(turn, self._failed)
        self._unacknowledged = []

    @property
    def compacting(self) -> bool:
        """Return whether a compaction is under way."""
        return bool(self._compacting)

    async def _compact(self, partition: Partition) -> None:
        sealed = partition.log.sealed
        active = snapshot(partition.log.active)
        name = f"{partition.topic}/{partition.number}"
        # What supersedes an older record must have outlasted a power cut before that one goes.
        while self.fsync == "batch" and not self._failed and self._points.ends.get(name, 0) < active.next_offset:
            await self._synced.wait()
        try:
            # The thread takes their names away before this loop knows of the new one; until then they are read.
            for segment in sealed:
                segment.hold()
            now_ms = time.time_ns() // 1_000_000
            fresh = await self.loop.run_in_executor(self._compactor, self._compact_beside, sealed, active, now_ms)
            partition.log.replace(sealed, fresh)
            log.info("compacted", topic=partition.topic, partition=partition.number, bytes=fresh.size)
        except (OSError, BrokerError) as error:
            log.warning("compaction_failed", topic=partition.topic, partition=partition.number, reason=str(error))
            for segment in sealed:
                if not segment.retired:
                    segment.release()
        finally:
            del self._compacting[partition]

    def _compact_beside(self, sealed: list[Segment], active: Segment, now_ms: int) -> Segment:
        fresh = rewrite(sealed, active, now_ms, Rests(self._closing))
        # In the thread that syncs: beside it, the old index of a segment that is gone could be stored again.
        self._thread.submit(swap, sealed, fresh).result()
        return fresh

    def read(self, partition: Partition, offset: int, stop: int, max_bytes: int) -> list[Frame]:
        """Return acknowledged records from `offset` on, below `stop`."""
        stop = min(stop, partition.visible)
        return partition.recent.read(offset, stop, max_bytes) or partition.log.read(offset, stop, max_bytes)

    def commit(self, group: str, offsets: dict[tuple[str, int], int]) -> Turn | None:
        """Store what a group will read next; await the result."""
        messages = []
        for (topic, number), offset in offsets.items():
            self.partition(topic, number)
            messages.append((f"{group}\0{topic}\0{number}".encode(), str(offset).encode()))
        if not messages:
            return None
        _, turn = self.append(self.partition(OFFSETS_TOPIC, 0), messages)
        turn.add_done_callback(bind(self._committed_done, group, offsets))
        return turn

    def _committed_done(self, group: str, offsets: dict[tuple[str, int], int], turn: asyncio.Future[None]) -> None:
        if turn.exception() is None:
            self._committed |= {(group, topic, number): offset for (topic, number), offset in offsets.items()}

    def committed(self, group: str, topic: str, number: int) -> int | None:
        """Return what the group reads next, or None."""
        return self._committed.get((group, topic, number))

    def _load_offsets(self) -> None:
        partition = self.partition(OFFSETS_TOPIC, 0)
        offset = partition.log.begin
        while frames := self.read(partition, offset, partition.visible, 1 << 20):
            for frame in frames:
                group, topic, number = (frame.key or b"").decode().split("\0")
                self._committed[group, topic, int(number)] = int(frame.value or b"0")
            offset = frames[-1].offset + 1
        self._forget_lost()

    def _forget_lost(self) -> None:
        """Take back offsets behind the end: a power cut took those records, and those to come must not be skipped."""
        for (group, topic, number), offset in self._committed.items():
            source = self._partitions.get((topic, number))
            if source is not None and offset > source.visible:
                end = source.visible
                log.error("offset_behind_the_end", group=group, topic=topic, partition=number, offset=offset, end=end)
                self._committed[group, topic, number] = end

    async def flush(self) -> None:
        """Wait until everything queued so far is written and, under `always`, synced."""
        turns = [partition.turn for partition in self._queued if partition.turn is not None]
        turns += [turn for _, _, turn in self._unacknowledged]
        if turns:
            await asyncio.wait(turns)

    async def close(self) -> None:
        """Write and sync all that is queued, and give the folder back."""
        self._closing.set()
        self._write()
        busy = [*self._compacting.values(), *([self._syncing] if self._syncing else [])]
        if busy:
            await asyncio.wait(busy)
        if self._failed is None:
            self.fsync = "batch" if self.fsync == "off" else self.fsync
            for partition in self._partitions.values():
                partition.log.mark_unsynced()
            await self._sync_written()
        self._compactor.shutdown()
        self._thread.shutdown()
        if self._failed is None:
            self._failed = BrokerError("LOG_CLOSED", f"{self.folder}: the log was closed")
            for partition in self._partitions.values():
                partition.log.close()
        self.abandon()

    def abandon(self) -> None:
        """Close the files as they are and release the lock."""
        for partition in self._partitions.values():
            partition.log.abandon()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1
        self._points.close()


def _segment_bytes(spec: TopicSpec) -> int:
    largest = COMPACTED_SEGMENT_BYTES if spec.compacted else SEGMENT_BYTES
    return min(largest, max(spec.retention_bytes // 4, 1))


def _check(partition: Partition, messages: Messages) -> None:
    for key, value in messages:
        if key is None and partition.log.compacted:
            raise BrokerError("KEY_REQUIRED", f"{partition.topic}: a message of a compacted topic needs a key")
        if len(value or b"") + len(key or b"") > MAX_MESSAGE_BYTES:
            raise BrokerError("MESSAGE_TOO_LARGE", f"{partition.topic}: over {MAX_MESSAGE_BYTES} bytes in a message")


def _leave_to_kernel(fd: int) -> None:
    """Sync nothing."""


def _refuse(turn: Turn, error: BrokerError) -> None:
    turn.set_exception(error)
    turn.exception()
