"""A sink of the order journal: as every sink, but it passes over records that a fenced-off owner left behind."""

import asyncio
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from streaming.adapters.lake import arrow_schema
from streaming.flow import FlowContext
from streaming.journal_rows import JournalRows
from streaming.owner.recovery import JournalReader
from streaming.sink import DeltaSink
from streaming.sink_rows import Rows
from streaming.transport.client import Record
from trading.codec import CodecError
from trading.instruments import InstrumentTable
from trading.orders.journal import FENCE, read_record
from trading.schemas import Table

# The records before the first that is new tell the generation; a stale owner cannot have written all of these.
LOOK_BACK_RECORDS = 1_000
PAUSE_RECORDS = 1_000
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
        **options: Any,
    ) -> None:
        """`rows` makes what turns records into rows; `options` are those of every sink."""
        super().__init__(context, topic, partition, table=table, convert=self._rows_of, **options)
        self._made = rows()
        self._reader = JournalReader()
        self._none = Rows(pa.Table.from_batches([], arrow_schema(table)), None)

    async def open(self) -> int | None:
        """Read again what the rows depend on: the generation that is in force, and earlier records if they matter."""
        first = await super().open()
        client, topic, number = self._context.client, self._topic, self._partition
        begin, end = await client.begin_offset(topic, number), first or 0
        if not self._made.remembers:
            begin = max(begin, end - LOOK_BACK_RECORDS)
        instruments = self._context.settings.instrument_table()
        generation, count = -1, 0
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

    def _rows_of(self, message: Record, instruments: InstrumentTable) -> Rows:
        payload = message.value
        wants = self._made.wants
        if payload is None or (wants and _FENCE not in payload and not any(text in payload for text in wants)):
            return self._none
        record = self._reader.take(message)
        is_stale = record is None
        found = record or read_record(payload)
        return self._none._replace(plain=self._made.rows(message, found, is_stale, instruments))
