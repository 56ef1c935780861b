"""A sink of the order journal: as every sink, but it passes over records that a fenced-off owner left behind."""

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
        """Read again what is in the table already: who owned the partition, and what the rows depend on."""
        first = await super().open()
        client, topic, number = self._context.client, self._topic, self._partition
        instruments = self._context.settings.instrument_table()
        async for message in client.read(topic, number, await client.begin_offset(topic, number), first or 0):
            if self._made.remembers or _FENCE in (message.value or b""):
                try:
                    self._rows_of(message, instruments)
                except CodecError:
                    # It is a dead letter since it was first read.
                    continue
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
