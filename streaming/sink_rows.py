"""Messages as rows of the bronze tables. Integers become floats by the instrument's scale; absent sides become null."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from streaming.adapters.lake import arrow_schema
from streaming.columns import LAST_DAY, check_days, column, days, floats, integers, merged, strings, texts
from streaming.transport.client import Record
from trading.codec import CodecError
from trading.instruments import InstrumentTable
from trading.market.batches import QUOTE, TRADE, Array, BarBatch, Dictionary, RawBatch, TickBatch
from trading.messages import Source
from trading.schemas import BARS_V1, FRAMES_V1, TICKS_V1

NS_PER_US = 1_000
NS_PER_DAY = 86_400_000_000_000
# What a raw frame takes beside its bytes.
FRAME_BYTES = 512
KINDS = {TRADE: "trade", QUOTE: "quote"}
INTERVALS = {60: "1m", 300: "5m", 900: "15m", 3_600: "1h", 86_400: "1d"}

_TIME = pa.timestamp("us", "UTC")
_TICKS, _BARS, _FRAMES = arrow_schema(TICKS_V1), arrow_schema(BARS_V1), arrow_schema(FRAMES_V1)


class Rows(NamedTuple):
    """What one message adds to a table. `src` is the raw message that it was derived from, None if it is a raw message.

    `part` is anything of which the table's form makes `number` rows; `size` is about how many bytes it takes meanwhile.
    """

    part: Any
    number: int
    size: int
    src: Source | None = None


class TableForm(NamedTuple):
    """How messages become rows: each is read as it comes, `table` makes columns of many parts, much cheaper together.

    `read` raises `CodecError`; what it has let through, `table` can write. `table` may run in another thread.
    """

    read: Callable[[Record, InstrumentTable], Rows]
    table: Callable[[Sequence[Any]], pa.Table]


class _Amounts(NamedTuple):
    """A batch with the name codes of one of its columns, and what divides the price and the quantity of each row."""

    batch: Any
    names: Array
    price: Array
    qty: Array


def tick_rows(record: Record, instruments: InstrumentTable) -> Rows:
    """Read a `ticks` message; raise `CodecError`."""
    batch = TickBatch.decode(record.value or b"")
    return _checked(record, batch, _codes(batch.kind, KINDS, "kind"), instruments)


def tick_table(parts: Sequence[_Amounts]) -> pa.Table:
    """Return the rows of `ticks` messages."""
    batches = [part.batch for part in parts]
    names, price, qty = (np.concatenate(each) for each in list(zip(*parts, strict=True))[1:])
    columns = [
        column(pa.date32(), _joined(batches, "session")),
        column(_TIME, _joined(batches, "ts_ns") // NS_PER_US),
        _texts(batches, "instrument"),
        texts((list(KINDS.values()), names)),
        integers(_joined(batches, "trade_id")),
        floats(_joined(batches, "price"), price),
        floats(_joined(batches, "qty"), qty),
        floats(_joined(batches, "bid"), price),
        floats(_joined(batches, "bid_qty"), qty),
        floats(_joined(batches, "ask"), price),
        floats(_joined(batches, "ask_qty"), qty),
        _texts(batches, "exchange"),
        _texts(batches, "condition"),
        column(pa.int32(), _joined(batches, "flags").astype(np.int32)),
        column(_TIME, _repeated(batches, [batch.recv_ns // NS_PER_US for batch in batches])),
        *_sources(batches),
        column(pa.int32(), _joined(batches, "src_row")),
    ]
    return pa.Table.from_arrays(columns, schema=_TICKS)


def bar_rows(record: Record, instruments: InstrumentTable) -> Rows:
    """Read a `bars` message; raise `CodecError`."""
    batch = BarBatch.decode(record.value or b"")
    return _checked(record, batch, _codes(batch.interval_s, INTERVALS, "interval_s"), instruments)


def bar_table(parts: Sequence[_Amounts]) -> pa.Table:
    """Return the rows of `bars` messages. `src_row` is the place of the bar in its message."""
    batches = [part.batch for part in parts]
    names, price, qty = (np.concatenate(each) for each in list(zip(*parts, strict=True))[1:])
    columns = [
        column(pa.date32(), _joined(batches, "session")),
        column(_TIME, _joined(batches, "start_ns") // NS_PER_US),
        _texts(batches, "instrument"),
        texts((list(INTERVALS.values()), names)),
        *(floats(_joined(batches, side), price) for side in ("open", "high", "low", "close")),
        floats(_joined(batches, "volume"), qty),
        integers(_joined(batches, "trades")),
        column(pa.int32(), _joined(batches, "flags").astype(np.int32)),
        column(pa.int32(), _joined(batches, "revision")),
        *_sources(batches),
        column(pa.int32(), np.concatenate([np.arange(len(batch), dtype=np.int32) for batch in batches])),
    ]
    return pa.Table.from_arrays(columns, schema=_BARS)


def frame_rows(record: Record, _: InstrumentTable) -> Rows:
    """Read a raw frame, byte for byte. One whose head cannot be read has date 1970-01-01, no time and feed ''."""
    payload = record.value or b""
    feed, clock_ns, recv_ns = _head(payload) or ("", 0, None)
    part = (clock_ns // NS_PER_DAY, recv_ns, feed.encode(), payload, record.partition, record.offset)
    return Rows(part, 1, len(payload) + FRAME_BYTES)


def frame_table(parts: Sequence[tuple[int, int | None, bytes, bytes, int, int]]) -> pa.Table:
    """Return raw frames, a row each."""
    session, received, feeds, payloads, partitions, offsets = zip(*parts, strict=True)
    received_us = np.array([(recv_ns or 0) // NS_PER_US for recv_ns in received], np.int64)
    columns = [
        days(np.array(session, np.int32)),
        column(_TIME, received_us, np.array([recv_ns is not None for recv_ns in received])),
        strings(feeds, pa.utf8()),
        strings(payloads, pa.binary()),
        column(pa.int32(), np.array(partitions, np.int32)),
        column(pa.int64(), np.array(offsets, np.int64)),
        column(pa.int32(), np.zeros(len(parts), np.int32)),
    ]
    return pa.Table.from_arrays(columns, schema=_FRAMES)


TICK_FORM, BAR_FORM = TableForm(tick_rows, tick_table), TableForm(bar_rows, bar_table)
FRAME_FORM = TableForm(frame_rows, frame_table)


def _checked(record: Record, batch: TickBatch | BarBatch, names: Array, instruments: InstrumentTable) -> Rows:
    check_days(batch.session)
    part = _Amounts(batch, names, *_scales(batch.instrument, instruments))
    return Rows(part, len(batch), len(record.value or b""), batch.src)


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


def _codes(values: Array, names: dict[int, str], field: str) -> Array:
    codes = np.full(len(values), -1, np.int16)
    for place, value in enumerate(names):
        codes[values == value] = place
    if (codes < 0).any():
        raise CodecError("BAD_FIELD", f"{field} {int(values[codes < 0][0])} is not one of {sorted(names)}")
    return codes


def _joined(batches: Sequence[Any], name: str) -> Array:
    return np.concatenate([getattr(batch, name) for batch in batches])


def _texts(batches: Sequence[Any], name: str) -> pa.Array:
    return texts(merged([getattr(batch, name) for batch in batches]))


def _repeated(batches: Sequence[Any], values: Sequence[int]) -> Array:
    return np.repeat(np.array(values, np.int64), [len(batch) for batch in batches])


def _sources(batches: Sequence[Any]) -> tuple[pa.Array, pa.Array]:
    partitions = _repeated(batches, [batch.src.partition for batch in batches]).astype(np.int32)
    return column(pa.int32(), partitions), column(
        pa.int64(), _repeated(batches, [batch.src.offset for batch in batches])
    )
