"""Appends one topic partition to a lake table: exactly once, durable before an offset is let go.

Rows are collected while the commit before them is written, so commits grow by themselves under backlog. A full disk
stops the intake, is told in the stats, and ends by itself when space returns.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

import pyarrow as pa
import structlog

from streaming.adapters.lake import Appended, Lake, SourceRange, arrow_schema
from streaming.flow import FlowContext
from streaming.retries import Retries, retry_durable
from streaming.sink_rows import Rows, TableForm
from streaming.transport.client import Record
from trading.codec import CodecError, encode
from trading.messages import DeadLetter, Reject, Source
from trading.schemas import DEADLETTER, Table

# Rows wait for a commit anyway, so records may wait for each other before they are fetched.
FETCH_GAP_S = 0.05
# Rows are small, but a raw frame is one row of up to megabytes.
MAX_BYTES = 16 << 20
BACKLOG_BYTES = 64 << 20
CLOSE_WAIT_S = 10.0
SAMPLE_BYTES = 100

T = TypeVar("T")
_log = structlog.get_logger("sink")


class Writer:
    """One table as all sinks of this process write it: in one thread, one commit at a time, in order."""

    def __init__(self, lake: Lake, table: Table) -> None:
        self._lake, self._table = lake, table
        self._commits: dict[str, asyncio.Task[None]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"lake-{table.name}")

    def began(self, app: str, commit: asyncio.Task[None]) -> None:
        """Note the commit that runs for a source."""
        self._commits[app] = commit

    async def settle(self, app: str) -> None:
        """End what an earlier sink of the same source, whose partition was revoked, still does."""
        commit = self._commits.pop(app, None)
        if commit is not None and not commit.done():
            commit.cancel()
            await asyncio.wait({commit})

    async def applied(self, app: str) -> int | None:
        """Return the last offset that the table holds of an application id."""
        return await self._run(partial(self._lake.applied, self._table, app))

    async def append(self, rows: pa.Table, source: SourceRange) -> Appended:
        """Append what was taken from one range of offsets, durably."""
        return await self._run(partial(self._lake.append, self._table, rows, [source]))

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


@cache
def shared_writer(root: Path, table: Table, checkpoint_every: int) -> Writer:
    """Return the writer of a table that all partitions in this process share."""
    return Writer(Lake(root, checkpoint_every=checkpoint_every), table)


class _Pending:
    """Rows that wait for one commit, and the offsets that they came from."""

    def __init__(self, first: int, since_s: float) -> None:
        self.parts: list[Any] = []
        self.first, self.last = first, first - 1
        self.since_s = since_s
        self.rows = self.bytes = 0
        self.raw: dict[int, int] = {}

    def add(self, rows: Rows) -> None:
        if rows.number:
            self.parts.append(rows.part)
            self.rows += rows.number
            self.bytes += rows.size
        if rows.src is not None:
            self.raw[rows.src.partition] = rows.src.offset


class LakeAheadError(Exception):
    """The table holds offsets that the topic does not have: the topic was made anew, or lost its end."""

    code = "LAKE_AHEAD"
    retriable = False

    def __init__(self, app: str, applied: int, end: int) -> None:
        super().__init__(
            f"{self.code}: the table holds {app} up to offset {applied}, the topic ends at {end}; new messages would "
            "be taken for old ones: bring the topic back, or move the table's folder away"
        )


class DeltaSink:
    """A processor of one input partition of a table."""

    def __init__(
        self,
        context: FlowContext,
        topic: str,
        partition: int,
        *,
        table: Table,
        form: TableForm,
        writer: Writer | None = None,
        clock: Callable[[], float] = time.monotonic,
        close_wait_s: float = CLOSE_WAIT_S,
    ) -> None:
        """`writer`, `clock` (seconds) and `close_wait_s` are for tests."""
        self._context, self._topic, self._partition = context, topic, partition
        self._form, self._clock, self._close_wait_s = form, clock, close_wait_s
        self._limits = context.settings.sink
        self._instruments = context.settings.instrument_table()
        lake = context.home / "lake"
        self._writer = writer or shared_writer(lake.absolute(), table, self._limits.checkpoint_every)
        self._app = f"{topic}-{partition}"
        # The first commit comes early, each sink's by another share: later ones do not all fall into one moment.
        self._early_s = crc32(f"{table.name} {self._app}".encode()) / 2**32 * self._limits.max_seconds
        self._retries = Retries(f"sink {table.name} {self._app}")
        self._empty = pa.Table.from_batches([], arrow_schema(table))
        self._pending: _Pending | None = None
        self._in_flight: _Pending | None = None
        self._task: asyncio.Task[None] | None = None
        self._next: int | None = None
        self._durable: int | None = None
        self._seen: dict[int, int] = {}
        self._counts = {"rows": 0, "commits": 0, "redelivered": 0, "dead_letters": 0, "missing_offsets": 0}
        self._version: int | None = None
        self._last_commit_ms: float | None = None

    async def open(self) -> int | None:
        """Return the offset after the last one in the table; it decides, because the group may be ahead of it."""
        await self._writer.settle(self._app)
        applied = await retry_durable(partial(self._writer.applied, self._app), self._retries)
        end = await self._context.client.end_offset(self._topic, self._partition)
        if applied is not None and applied >= end:
            raise LakeAheadError(self._app, applied, end)
        begin = await self._context.client.begin_offset(self._topic, self._partition)
        self._next = begin if applied is None else applied + 1
        self._durable = self._next
        if begin > self._next:
            self._note_missing(begin)
        return self._next

    async def process(self, records: Sequence[Record]) -> int | None:
        """Collect rows, and start a commit when one is due; wait for it only while the backlog is full."""
        for record in records:
            await self._take(record)
            self._write_if_due()
            while self._is_full():
                await self._wait()
                self._write_if_due()
        return self._durable

    async def tick(self) -> int | None:
        """Start the commit of rows that waited long enough; return what has become durable."""
        self._write_if_due()
        return self._durable

    async def close(self) -> int | None:
        """Commit all that is left. Rows that find no space in time stay in the topic."""
        try:
            async with asyncio.timeout(self._close_wait_s):
                await self._flush()
        except TimeoutError:
            _log.warning(
                "closed_with_rows_left", app=self._app, rows=self._pending_rows(), waiting=self._retries.waiting
            )
        return self._durable

    def stats(self) -> Mapping[str, Any]:
        """Return the counters since the start, the table's version, and the code of what it waits for."""
        waiting = self._retries.waiting
        return {
            **self._counts,
            "version": self._version,
            "pending_rows": self._pending_rows(),
            "last_commit_ms": self._last_commit_ms,
            "applied": None if self._durable is None else self._durable - 1,
            "error": waiting and {"code": waiting["code"], "message": waiting["message"]},
            **self._retries.stats(),
        }

    async def _take(self, record: Record) -> None:
        assert self._next is not None, "the sink is open"
        if record.offset < self._next:
            self._counts["redelivered"] += 1
            return
        if record.offset > self._next:
            # A range names every offset between its ends, so none may span a hole.
            await self._flush()
            self._note_missing(record.offset)
        pending = self._pending
        if pending is None:
            pending = self._pending = _Pending(record.offset, self._clock() - self._early_s)
            self._early_s = 0.0
        try:
            rows = self._form.read(record, self._instruments)
        except CodecError as error:
            await self._bury(record, error)
        else:
            if rows.src is None or await self._is_new(rows.src):
                pending.add(rows)
            else:
                self._counts["redelivered"] += 1
        self._next = record.offset + 1
        pending.last = record.offset

    async def _is_new(self, src: Source) -> bool:
        seen = self._seen.get(src.partition)
        if seen is None:
            applied = await self._writer.applied(f"{self._app}:{src.partition}")
            seen = -1 if applied is None else applied
        self._seen[src.partition] = max(seen, src.offset)
        return src.offset > seen

    async def _bury(self, record: Record, error: CodecError) -> None:
        sample = (record.value or b"")[:SAMPLE_BYTES].hex()
        letter = DeadLetter(
            topic=record.topic,
            src=Source(record.partition, record.offset),
            ts_ns=time.time_ns(),
            rejects=(Reject(code=error.code, message=str(error), sample=sample),),
        )
        message = (str(letter.src).encode(), encode(letter))
        await retry_durable(partial(self._context.client.append, DEADLETTER.name, 0, [message]), self._retries)
        self._counts["dead_letters"] += 1
        _log.warning("dead_letter", app=self._app, offset=record.offset, code=error.code, message=str(error))

    def _note_missing(self, offset: int) -> None:
        assert self._next is not None, "the sink is open"
        self._counts["missing_offsets"] += offset - self._next
        _log.error("offsets_missing", app=self._app, first=self._next, last=offset - 1)
        self._next = offset

    def _is_due(self) -> bool:
        pending = self._pending
        return pending is not None and (
            pending.rows >= self._limits.max_rows
            or pending.bytes >= MAX_BYTES
            or self._clock() - pending.since_s >= self._limits.max_seconds
        )

    def _is_full(self) -> bool:
        pending = self._pending
        is_large = pending is not None and (pending.rows >= self._limits.backlog_rows or pending.bytes >= BACKLOG_BYTES)
        return is_large and self._task is not None

    def _write_if_due(self) -> None:
        """Start a commit if one is due and none runs. Raises what the one before has raised."""
        if self._task is not None and self._task.done():
            task, self._task = self._task, None
            task.result()
        if self._task is None and self._is_due():
            self._start()

    def _start(self) -> None:
        self._in_flight, self._pending = self._pending, None
        self._task = asyncio.create_task(self._commit(), name=f"commit {self._app}")
        self._writer.began(self._app, self._task)

    async def _commit(self) -> None:
        batch = self._in_flight
        assert batch is not None, "a commit is in flight"
        source = SourceRange(
            topic=self._topic,
            partition=self._partition,
            first=batch.first,
            last=batch.last,
            rows=batch.rows,
            raw=batch.raw,
        )
        started = time.perf_counter()
        rows = await asyncio.to_thread(self._form.table, batch.parts) if batch.parts else self._empty
        done = await retry_durable(partial(self._writer.append, rows, source), self._retries)
        took_s = time.perf_counter() - started
        self._context.observe("commit_seconds", took_s)
        self._last_commit_ms, self._version = round(took_s * 1e3, 3), done.version
        self._counts["commits"] += 1
        self._counts["rows"] += batch.rows
        self._durable = batch.last + 1
        self._in_flight = None

    async def _wait(self) -> None:
        # A cancelled wait must not cut the commit in the middle.
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _flush(self) -> None:
        while self._task is not None or self._pending is not None:
            if self._task is None:
                self._start()
            await self._wait()
            self._write_if_due()

    def _pending_rows(self) -> int:
        return sum(batch.rows for batch in (self._pending, self._in_flight) if batch is not None)
