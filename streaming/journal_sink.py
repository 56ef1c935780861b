"""A sink of the order journal: as every sink, but it passes over records that a fenced-off owner left behind."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import structlog

from streaming.adapters.lake import arrow_schema
from streaming.columns import PlainRow, from_rows
from streaming.flow import FlowContext
from streaming.journal_mark import Folded, MarkFile
from streaming.journal_rows import JournalRows
from streaming.owner.journal_fold import JournalReader
from streaming.pace import breathe
from streaming.sink import DeltaSink
from streaming.sink_rows import Rows, TableForm
from streaming.transport.client import Record
from trading.codec import CodecError
from trading.instruments import InstrumentTable
from trading.orders.journal import FENCE, read_record
from trading.schemas import Table

# The records before the first that is new tell the generation; a stale owner cannot have written all of these.
LOOK_BACK_RECORDS = 1_000
PAUSE_RECORDS = 1_000
# Made into columns in one go.
BREATH_ROWS = 500
# What a start reads again at most, beside one commit.
MARK_EACH_RECORDS = 10_000
# What a row takes beside its message.
ROW_BYTES = 512
NO_ROWS = Rows((), 0, 0)
_log = structlog.get_logger("sink")
_FENCE = f'"cause":"{FENCE}:'.encode()


class JournalSink(DeltaSink):
    """One partition of `orders.journal` to one table."""

    def __init__(
        self,
        context: FlowContext,
        topic: str,
        partition: int,
        *,
        table: Table,
        rows: Callable[[], JournalRows],
        mark_each: int = MARK_EACH_RECORDS,
        **options: Any,
    ) -> None:
        """`rows` makes what turns records into rows; `options` are those of every sink; `mark_each` is for tests."""
        super().__init__(
            context, topic, partition, table=table, form=TableForm(self._rows_of, self._table_of), **options
        )
        self._made = rows()
        self._reader = JournalReader()
        name = f"{table.name}-{topic}-{partition}.json"
        self._mark = MarkFile(context.home / "state" / name) if self._made.remembers else None
        self._mark_each, self._marked = mark_each, -1
        self._newest: Record | None = None
        self._due: Folded | None = None
        self._schema = arrow_schema(table)

    async def open(self) -> int | None:
        """Read again what the rows depend on: the generation that is in force, and earlier records if they matter."""
        first = await super().open()
        client, topic, number = self._context.client, self._topic, self._partition
        begin, end = await client.begin_offset(topic, number), first or 0
        generation, count = -1, 0
        if self._mark is None:
            begin = max(begin, end - LOOK_BACK_RECORDS)
        elif (mark := await self._mark.read(client, topic, number, end)) is not None:
            self._made.recall(mark.folded)
            self._reader.generation, begin, self._marked = mark.generation, mark.offset + 1, mark.offset
        instruments = self._context.settings.instrument_table()
        async for message in client.read(topic, number, begin, end):
            count += 1
            if count % PAUSE_RECORDS == 0:
                await asyncio.sleep(0)
            try:
                if self._made.remembers:
                    self._rows_of(message, instruments)
                elif message.value is not None:
                    record = read_record(message.value)
                    # A fence carries the generation before its own.
                    fenced = record.cause.startswith(f"{FENCE}:")
                    generation = max(generation, message.offset if fenced else record.generation)
            except CodecError:
                # It is a dead letter since it was first read.
                continue
        self._reader.generation = max(self._reader.generation, generation)
        return first

    def _start(self) -> None:
        """Begin a commit; what is remembered now is what the rows up to here have led to."""
        newest, batch = self._newest, self._pending
        super()._start()
        if self._mark is None or newest is None or newest.value is None or batch is None:
            return
        if newest.offset == batch.last and newest.offset - self._marked >= self._mark_each:
            self._due = Folded(newest, self._reader.generation, self._made.memory())

    async def _commit(self) -> None:
        await super()._commit()
        due, self._due = self._due, None
        if self._mark is not None and due is not None:
            try:
                await asyncio.to_thread(self._mark.write, due)
            except OSError as error:
                # Without it the next start reads more.
                _log.warning("mark_not_written", app=self._app, message=str(error))
            else:
                self._marked = due.record.offset

    def _rows_of(self, message: Record, instruments: InstrumentTable) -> Rows:
        payload, wants = message.value, self._made.wants
        self._newest = message
        if payload is None or (wants and _FENCE not in payload and not any(text in payload for text in wants)):
            return NO_ROWS
        record = self._reader.take(message)
        is_stale = record is None
        found = record or read_record(payload)
        rows = self._made.rows(message, found, is_stale, instruments)
        part = rows[0] if len(rows) == 1 else list(rows)
        return Rows(part, len(rows), len(rows) * (ROW_BYTES + len(payload)))

    def _table_of(self, parts: Sequence[PlainRow | list[PlainRow]]) -> pa.Table:
        rows: list[PlainRow] = []
        for part in parts:
            rows += part if isinstance(part, list) else (part,)
        tables = []
        for first in range(0, len(rows), BREATH_ROWS):
            tables.append(from_rows(self._schema, rows[first : first + BREATH_ROWS]))
            breathe()
        return pa.concat_tables(tables).combine_chunks() if tables else from_rows(self._schema, rows)
