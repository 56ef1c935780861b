"""Messages as rows of the bronze tables. Integers become floats by the instrument's scale; absent sides become null."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from streaming.adapters.lake import arrow_schema
from streaming.columns import LAST_DAY, column, days, floats, integers, strings, texts
from streaming.transport.client import Record
from trading.codec import CodecError
from trading.instruments import InstrumentTable
from trading.market.batches import QUOTE, TRADE, Array, BarBatch, Dictionary, RawBatch, TickBatch
from trading.messages import Source
from trading.schemas import BARS_V1, FRAMES_V1, TICKS_V1

NS_PER_US = 1_000
NS_PER_DAY = 86_400_000_000_000
KINDS = {TRADE: "trade", QUOTE: "quote"}
INTERVALS = {60: "1m", 300: "5m", 900: "15m", 3_600: "1h", 86_400: "1d"}

_TIME = pa.timestamp("us", "UTC")
_TICKS, _BARS, _FRAMES = arrow_schema(TICKS_V1), arrow_schema(BARS_V1), arrow_schema(FRAMES_V1)


class Rows(NamedTuple):
    """The rows of one message. `src` is the raw message that it was derived from, None if it is a raw message.

    Where a message is a row or two, `plain` holds them as tuples instead: they become columns together, much cheaper.
    """

    table: pa.Table
    src: Source | None
    plain: Sequence[tuple[Any, ...]] = ()


Convert = Callable[[Record, InstrumentTable], Rows]


def tick_rows(record: Record, instruments: InstrumentTable) -> Rows:
    """Return the rows of a `ticks` message; raise `CodecError`."""
    batch = TickBatch.decode(record.value or b"")
    price, qty = _scales(batch.instrument, instruments)
    rows = len(batch)
    columns = [
        days(batch.session),
        column(_TIME, batch.ts_ns // NS_PER_US),
        texts(batch.instrument),
        _names(batch.kind, KINDS, "kind"),
        integers(batch.trade_id),
        floats(batch.price, price),
        floats(batch.qty, qty),
        floats(batch.bid, price),
        floats(batch.bid_qty, qty),
        floats(batch.ask, price),
        floats(batch.ask_qty, qty),
        texts(batch.exchange),
        texts(batch.condition),
        column(pa.int32(), batch.flags.astype(np.int32)),
        column(_TIME, np.full(rows, batch.recv_ns // NS_PER_US, np.int64)),
        *_source(batch.src, batch.src_row),
    ]
    return Rows(pa.Table.from_arrays(columns, schema=_TICKS), batch.src)


def bar_rows(record: Record, instruments: InstrumentTable) -> Rows:
    """Return the rows of a `bars` message; raise `CodecError`. `src_row` is the place of the bar in it."""
    batch = BarBatch.decode(record.value or b"")
    price, qty = _scales(batch.instrument, instruments)
    columns = [
        days(batch.session),
        column(_TIME, batch.start_ns // NS_PER_US),
        texts(batch.instrument),
        _names(batch.interval_s, INTERVALS, "interval_s"),
        floats(batch.open, price),
        floats(batch.high, price),
        floats(batch.low, price),
        floats(batch.close, price),
        floats(batch.volume, qty),
        integers(batch.trades),
        column(pa.int32(), batch.flags.astype(np.int32)),
        column(pa.int32(), batch.revision),
        *_source(batch.src, np.arange(len(batch), dtype=np.int32)),
    ]
    return Rows(pa.Table.from_arrays(columns, schema=_BARS), batch.src)


def frame_rows(record: Record, _: InstrumentTable) -> Rows:
    """Return a raw frame, byte for byte. One whose head cannot be read has date 1970-01-01, no time and feed ''."""
    payload = record.value or b""
    feed, clock_ns, recv_ns = _head(payload) or ("", 0, None)
    received = np.array([(recv_ns or 0) // NS_PER_US], np.int64)
    columns = [
        days(np.array([clock_ns // NS_PER_DAY], np.int32)),
        column(_TIME, received, np.array([recv_ns is not None])),
        strings([feed.encode()], pa.utf8()),
        strings([payload], pa.binary()),
        *_source(Source(record.partition, record.offset), np.zeros(1, np.int32)),
    ]
    return Rows(pa.Table.from_arrays(columns, schema=_FRAMES), None)


def _head(payload: bytes) -> tuple[str, int, int] | None:
    try:
        with pa.ipc.open_stream(payload) as reader:
            meta = {key.decode(): value.decode() for key, value in (reader.schema.metadata or {}).items()}
        feed, clock_ns, recv_ns = meta["feed"], int(meta["clock_ns"]), int(meta["recv_ns"])
    except (pa.ArrowException, OSError, ValueError, KeyError):
        return None
    is_sane = meta.get("schema") == RawBatch.SCHEMA and 0 <= clock_ns // NS_PER_DAY <= LAST_DAY
    return (feed, clock_ns, recv_ns) if is_sane and 0 <= recv_ns < 2**63 else None


def _scales(ids: Dictionary, instruments: InstrumentTable) -> tuple[Array, Array]:
    """Return the divisor of price and of quantity for each row."""
    values, codes = ids
    found = [instruments.get(id_) for id_ in values]
    missing = [id_ for id_, instrument in zip(values, found, strict=True) if instrument is None]
    if missing:
        raise CodecError("UNKNOWN_INSTRUMENT", f"no instrument {missing[0]!r} is configured")
    known = [instrument for instrument in found if instrument is not None]
    price = np.array([10.0**instrument.price_scale for instrument in known])
    qty = np.array([10.0**instrument.qty_scale for instrument in known])
    return price[codes], qty[codes]


def _names(values: Array, names: dict[int, str], field: str) -> pa.Array:
    codes = np.full(len(values), -1, np.int16)
    for place, value in enumerate(names):
        codes[values == value] = place
    if (codes < 0).any():
        raise CodecError("BAD_FIELD", f"{field} {int(values[codes < 0][0])} is not one of {sorted(names)}")
    return texts((list(names.values()), codes))


def _source(src: Source, rows: Any) -> tuple[pa.Array, pa.Array, pa.Array]:
    count = len(rows)
    partition = column(pa.int32(), np.full(count, src.partition, np.int32))
    return partition, column(pa.int64(), np.full(count, src.offset, np.int64)), column(pa.int32(), rows)
