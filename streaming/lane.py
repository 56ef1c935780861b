"""One input partition of one role: hands its records to the processor in order and lets go only what is durable."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import structlog

from streaming.flow import Flow, FlowContext, Processor, Revocable
from streaming.poison import PoisonFile, Suspect, blames_record
from streaming.transport.client import Record
from trading.codec import encode
from trading.messages import DeadLetter, Reject, Source
from trading.schemas import DEADLETTER

BATCH_RECORDS = 256
BATCH_BYTES = 8 << 20
QUEUE_BYTES = 64 << 20
TICK_S = 0.25
REVOKE_WAIT_S = 5.0

_log = structlog.get_logger("lane")


class Fetched(Protocol):
    """The part of Faust's message that is used: what was fetched together, a list for each partition."""

    value: Sequence[Sequence[Record]]
    generation_id: int | None


class Intake(NamedTuple):
    """What a lane tells the consumer of its partition: when to stop fetching and go on, and what may be committed.

    `let_go(partition, offset)` is for all records up to an offset.
    """

    full: Callable[[int], None]
    drop: Callable[[int], None]
    let_go: Callable[[int, int], None]


# Where there is no consumer to tell.
NO_INTAKE = Intake(lambda _: None, lambda _: None, lambda _, __: None)


class Lane:
    """A processor, the records that wait for it, and those it has not let go yet."""

    def __init__(self, flow: Flow, partition: int, context: FlowContext, poison: PoisonFile, intake: Intake) -> None:
        self.partition = partition
        self.ready = False
        self.position = 0
        self._flow, self._context, self._poison = flow, context, poison
        self._intake = intake
        self._key = f"{flow.role}/{flow.topic}/{partition}"
        self._processor: Processor = flow.factory(context, flow.topic, partition)
        self._suspect: Suspect | None = poison.get(self._key)
        self._queue: deque[Record] = deque()
        self._queued_bytes = 0
        self._is_full = False
        self._wake = asyncio.Event()
        self._tick_due = False
        # Records below this offset are let go.
        self._released = 0
        self._stop_at: int | None = None
        self._revoked = False
        self.task = asyncio.create_task(self._run(), name=self._key)

    def put(self, records: Sequence[Record]) -> None:
        """Queue records; the partition is not fetched further while too many bytes wait."""
        self._queue.extend(records)
        self._queued_bytes += sum([len(record.value or b"") for record in records])
        if self._queued_bytes > QUEUE_BYTES and not self._is_full:
            self._is_full = True
            self._intake.full(self.partition)
        self._wake.set()

    def finish(self, offset: int) -> None:
        """Work up to `offset`, flush, and end."""
        self._stop_at = offset
        self._wake.set()

    async def revoke(self) -> None:
        """End without letting anything go: the partition belongs to somebody else. The call in hand may end."""
        self._revoked = True
        if isinstance(self._processor, Revocable):
            self._processor.revoked()
        self._wake.set()
        done, _ = await asyncio.wait([self.task], timeout=REVOKE_WAIT_S)
        if not done:
            self.task.cancel()
            await asyncio.wait([self.task], timeout=REVOKE_WAIT_S)

    def stats(self) -> dict[str, Any]:
        """Return the counters of the processor, and how many records wait for it."""
        return {"ready": self.ready, "queued": len(self._queue), **self._processor.stats()}

    async def _run(self) -> None:
        structlog.contextvars.bind_contextvars(role=self._flow.role, partition=self.partition)
        timer = asyncio.get_running_loop().call_later(TICK_S, self._beat)
        try:
            await self._open()
            self.ready = True
            while not self._revoked and (self._stop_at is None or self.position < self._stop_at):
                if not self._queue and not self._tick_due:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                if self._queue:
                    await self._process(self._batch())
                if self._tick_due and not self._revoked:
                    self._release(await self._processor.tick())
                    self._tick_due = False
                    timer = asyncio.get_running_loop().call_later(TICK_S, self._beat)
            if not self._revoked:
                self._release(await self._processor.close())
        finally:
            self.ready = False
            timer.cancel()

    async def _open(self) -> None:
        client, topic = self._context.client, self._flow.topic
        committed = await client.committed(self._flow.role, topic, self.partition)
        begin = await client.begin_offset(topic, self.partition)
        start = max(committed or 0, begin)
        first = await self._processor.open()
        self.position = start if first is None else first
        if self.position < start:
            # The state is older than the committed offset, as after a restore: read again what lies between.
            _log.warning("state_behind_offset", first=self.position, committed=start)
            records: list[Record] = []
            async for record in client.read(topic, self.partition, self.position, start):
                records.append(record)
                if len(records) >= BATCH_RECORDS:
                    await self._give(records)
                    records = []
            await self._give(records)
            self.position = max(self.position, start)
        self._released = self.position

    def _batch(self) -> list[Record]:
        batch: list[Record] = []
        queue, size = self._queue, 0
        one_by_one = self._suspect is not None and self.position <= self._suspect.last
        limit = 1 if one_by_one else BATCH_RECORDS
        while queue and len(batch) < limit and size < BATCH_BYTES:
            record = queue.popleft()
            size += len(record.value or b"")
            batch.append(record)
        self._queued_bytes -= size
        if self._is_full and self._queued_bytes < QUEUE_BYTES // 2:
            self._is_full = False
            self._intake.drop(self.partition)
        return batch

    async def _process(self, batch: Sequence[Record]) -> None:
        if batch[0].offset < self.position:
            # It comes again: the consumer may have forgotten what was let go.
            self._intake.let_go(self.partition, self._released - 1)
            batch = [record for record in batch if record.offset >= self.position]
        await self._give(batch)

    async def _give(self, records: Sequence[Record]) -> None:
        if not records:
            return
        first, last = records[0].offset, records[-1].offset
        if self._suspect is not None and self._suspect.condemns(first):
            await self._condemn(records[0], self._suspect)
            nothing_held = self._released >= self.position
            self.position = last + 1
            if nothing_held:
                self._release(self.position)
            return
        started = time.perf_counter()
        try:
            released = await self._processor.process(records)
        except Exception as error:
            self._blame(first, last, error)
            raise
        self._context.observe("process_seconds", time.perf_counter() - started)
        self.position = last + 1
        self._release(released)

    def _blame(self, first: int, last: int, error: Exception) -> None:
        if not blames_record(error):
            return
        try:
            suspect = self._poison.failed(self._key, first, last, error)
        except OSError as cause:
            _log.warning("poison_not_counted", first=first, last=last, message=str(cause))
        else:
            _log.error("records_failed", first=first, last=last, failures=suspect.failures, error=suspect.error)

    def _release(self, offset: int | None) -> None:
        if offset is None or self._revoked:
            return
        if offset > self._released:
            self._released = offset
            self._intake.let_go(self.partition, offset - 1)
        if self._suspect is not None and offset > self._suspect.last:
            self._poison.passed(self._key)
            self._suspect = None

    async def _condemn(self, record: Record, suspect: Suspect) -> None:
        if suspect.lettered:
            return
        reject = Reject(code="POISON", message=suspect.error, sample=(record.value or b"")[:200].hex())
        letter = DeadLetter(
            topic=record.topic, src=Source(record.partition, record.offset), ts_ns=time.time_ns(), rejects=(reject,)
        )
        await self._context.client.append(DEADLETTER.name, 0, [(str(letter.src).encode(), encode(letter))])
        self._suspect = self._poison.lettered(self._key, suspect)
        _log.error("poison_skipped", offset=record.offset, failures=suspect.failures, error=suspect.error)

    def _beat(self) -> None:
        self._tick_due = True
        self._wake.set()
