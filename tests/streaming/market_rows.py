"""Messages of the market-data topics for tests of the sinks."""

import numpy as np

from streaming.transport.client import Record
from trading.market.batches import ABSENT, BarBatch, RawBatch, TickBatch
from trading.market.ipc import encode_ipc
from trading.messages import Source

SECOND_NS = 1_000_000_000
# 2024-03-01T14:30:00Z, a Friday; the session is the same date.
START_NS = 1_709_303_400 * SECOND_NS
SESSION = 19_783
INSTRUMENTS = ["BTC-USD.SIM", "XRP-USD.SIM"]


def ticks(offset: int, rows: int = 3, *, partition: int = 0, session: int = SESSION) -> TickBatch:
    """Return trades and quotes in turn: a trade has price and quantity, a quote has both sides."""
    place = np.arange(rows)
    is_quote = place % 2 == 1
    trade, quote = np.where(is_quote, ABSENT, 1), np.where(is_quote, 1, ABSENT)
    return TickBatch(
        kind=is_quote.astype(np.uint8),
        instrument=(INSTRUMENTS, (place % 2).astype(np.int16)),
        session=np.full(rows, session, np.int32),
        ts_ns=START_NS + place * SECOND_NS,
        trade_id=np.where(is_quote, ABSENT, offset * 1_000 + place),
        price=np.where(trade == 1, 6_123_456, ABSENT),
        qty=np.where(trade == 1, 150_000_000, ABSENT),
        bid=np.where(quote == 1, 51_234, ABSENT),
        bid_qty=np.where(quote == 1, 1, ABSENT),
        ask=np.where(quote == 1, 51_236, ABSENT),
        ask_qty=np.where(quote == 1, 250_000_000, ABSENT),
        exchange=(["X"], np.zeros(rows, np.int16)),
        condition=(["", "odd"], np.zeros(rows, np.int16)),
        flags=np.full(rows, 16, np.uint16),
        src_row=(place + 10).astype(np.int32),
        src=Source(partition, offset),
        feed="sim",
        clock_ns=START_NS,
        recv_ns=START_NS + 1_500,
    )


def bars(offset: int, intervals: tuple[int, ...] = (60, 300, 900, 3_600, 86_400)) -> BarBatch:
    """Return one bar for each interval; the last one had no trade."""
    rows = len(intervals)
    price = np.full(rows, 6_123_456)
    price[-1] = ABSENT
    return BarBatch(
        instrument=(INSTRUMENTS, np.zeros(rows, np.int16)),
        interval_s=np.array(intervals, np.int32),
        session=np.full(rows, SESSION, np.int32),
        start_ns=np.full(rows, START_NS),
        open=price,
        high=price,
        low=price,
        close=price,
        volume=np.full(rows, 25_000_000),
        trades=np.arange(rows),
        flags=np.zeros(rows, np.uint16),
        revision=np.arange(rows, dtype=np.int32),
        src=Source(0, offset),
        clock_ns=START_NS,
    )


def frame(seq: int, *, rows: int = 2, clock_ns: int = START_NS) -> RawBatch:
    """Return a raw frame of trades."""
    empty = np.full(rows, np.nan)
    return RawBatch(
        kind=np.zeros(rows, np.uint8),
        symbol=(["BTC-USD"], np.zeros(rows, np.int16)),
        ts_ns=np.full(rows, clock_ns),
        trade_id=np.arange(rows),
        price=np.full(rows, 61_234.56),
        qty=np.full(rows, 1.5),
        bid=empty,
        bid_qty=empty,
        ask=empty,
        ask_qty=empty,
        exchange=(["X"], np.zeros(rows, np.int16)),
        condition=([""], np.zeros(rows, np.int16)),
        suspicious=np.zeros(rows, np.uint8),
        feed="sim",
        venue="SIM",
        seq=seq,
        clock_ns=clock_ns,
        recv_ns=clock_ns + 2_000,
    )


def record(value: bytes | None, offset: int = 0, topic: str = "ticks", partition: int = 0) -> Record:
    """Return a record of a topic."""
    return Record(topic, partition, offset, None, value)


def with_column(payload: bytes, name: str, value: int) -> bytes:
    """Return a message whose column holds one value in every row, as a faulty writer might send it."""
    import pyarrow as pa

    with pa.ipc.open_stream(payload) as reader:
        batch = reader.read_next_batch()
    place = batch.schema.get_field_index(name)
    column = pa.array([value] * batch.num_rows, batch.schema.field(name).type)
    columns = [column if n == place else batch.column(n) for n in range(batch.num_columns)]
    return encode_ipc(pa.RecordBatch.from_arrays(columns, schema=batch.schema))
