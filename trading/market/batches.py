"""Columnar batches of the market-data topics, as numpy columns and as one Arrow IPC record batch each.

A raw frame is what the feed sent: floats, NaN where a side is absent. Ticks and bars are exact: integers in the
instrument's scale, `ABSENT` (null in Arrow) where a side is absent. The schema name, the clock and the source travel
in the Arrow schema metadata, so a message can be read alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import pyarrow as pa

from trading.codec import MAX_MESSAGE_BYTES, CodecError
from trading.market.ipc import ABSENT, Array, Form
from trading.messages import Source

__all__ = ["ABSENT", "Array"]

TRADE, QUOTE = 0, 1
MAX_ROWS = 1_000
# A bar message may hold what closes at the end of a session or of a feed; 72 bytes a bar fit MAX_MESSAGE_BYTES.
MAX_BAR_ROWS = 40_000

_DICT = pa.dictionary(pa.int16(), pa.utf8())
_NUMPY = {
    pa.uint8(): np.uint8,
    pa.uint16(): np.uint16,
    pa.int16(): np.int16,
    pa.int32(): np.int32,
    pa.int64(): np.int64,
    pa.float64(): np.float64,
}


def decode_ipc(payload: bytes, schema_name: str, max_rows: int = MAX_ROWS) -> tuple[pa.RecordBatch, dict[str, str]]:
    """Return the batch and its metadata; raise `CodecError` TOO_LARGE, CORRUPT, WRONG_SCHEMA or TOO_MANY_ROWS."""
    if len(payload) > MAX_MESSAGE_BYTES:
        raise CodecError("TOO_LARGE", f"message of {len(payload)} bytes, {MAX_MESSAGE_BYTES} allowed")
    try:
        with pa.ipc.open_stream(payload) as reader:
            batch = reader.read_next_batch()
            batch.validate(full=True)
    except (pa.ArrowException, StopIteration, OSError, ValueError) as error:
        raise CodecError("CORRUPT", f"not an Arrow batch: {error or 'no batch'}") from None
    try:
        meta = {key.decode(): value.decode() for key, value in (batch.schema.metadata or {}).items()}
    except UnicodeDecodeError:
        raise CodecError("CORRUPT", "metadata is not UTF-8") from None
    if meta.get("schema") != schema_name:
        raise CodecError("WRONG_SCHEMA", f"schema {meta.get('schema', '')!r}, wanted {schema_name!r}")
    if batch.num_rows > max_rows:
        raise CodecError("TOO_MANY_ROWS", f"{batch.num_rows} rows in a batch, {max_rows} allowed")
    return batch, meta


@dataclass(slots=True, kw_only=True)
class _Batch:
    """Columns of equal length. A subclass lists its columns and metadata; dictionaries are (values, int16 codes)."""

    SCHEMA: ClassVar[str]
    COLUMNS: ClassVar[Mapping[str, pa.DataType]]
    META: ClassVar[Sequence[str]]
    MAX_ROWS: ClassVar[int] = MAX_ROWS

    def __len__(self) -> int:
        return len(getattr(self, _plan(type(self)).length_of))

    def take(self, rows: Array) -> Self:
        """Return a batch of the chosen rows (indices or a boolean mask), dictionaries shared."""
        chosen = {
            name: (getattr(self, name)[0], getattr(self, name)[1][rows]) if kind is None else getattr(self, name)[rows]
            for name, kind, _ in _plan(type(self)).columns
        }
        return type(self)(**chosen, **{name: getattr(self, name) for name in self.META})

    def encode(self) -> bytes:
        """Return the batch as message bytes."""
        plan = _plan(type(self))
        columns = [getattr(self, name) for name, _, _ in plan.columns]
        return plan.form.write(columns, [str(getattr(self, name)) for name in self.META])

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read message bytes; raise `CodecError` with a stable code when they are not such a batch."""
        plan = _plan(cls)
        found = plan.form.read(payload, cls.MAX_ROWS) if len(payload) <= MAX_MESSAGE_BYTES else None
        columns, meta = found or cls._judge(payload)
        try:
            values = {name: read(text) for (name, read), text in zip(plan.meta, meta, strict=True)}
        except (KeyError, ValueError) as error:
            raise CodecError("BAD_FIELD", f"metadata of {cls.SCHEMA}: {error}") from None
        return cls(**{name: column for (name, _, _), column in zip(plan.columns, columns, strict=True)}, **values)

    @classmethod
    def head(cls, payload: bytes) -> tuple[dict[str, Any], int] | None:
        """Return metadata and number of rows of a message that was written here, else None. The rows are not read."""
        plan = _plan(cls)
        found = plan.form.head(payload)
        if found is None:
            return None
        return {name: read(text) for (name, read), text in zip(plan.meta, found[1], strict=True)}, found[0]

    @classmethod
    def _judge(cls, payload: bytes) -> tuple[list[Any], list[str]]:
        """Return columns and metadata by pyarrow, or raise what is wrong with them."""
        batch, meta = decode_ipc(payload, cls.SCHEMA, cls.MAX_ROWS)
        plan = _plan(cls)
        if not batch.schema.equals(plan.schema, check_metadata=False):
            raise CodecError("BAD_COLUMNS", f"columns of {cls.SCHEMA} do not match")
        try:
            texts = [meta[name] for name in cls.META]
        except KeyError as error:
            raise CodecError("BAD_FIELD", f"metadata of {cls.SCHEMA}: {error}") from None
        plan.form.learn(texts)
        return [
            _from_arrow(array, kind) for (_, kind, _), array in zip(plan.columns, batch.columns, strict=True)
        ], texts


Dictionary = tuple[Sequence[str], Array]


@dataclass(slots=True, kw_only=True)
class RawBatch(_Batch):
    """One frame of a feed (`ticks.raw`). `seq` counts its frames without holes; `clock_ns` is its clock."""

    SCHEMA: ClassVar[str] = "ticks.raw/1"
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "kind": pa.uint8(),
        "symbol": _DICT,
        "ts_ns": pa.int64(),
        "trade_id": pa.int64(),
        "price": pa.float64(),
        "qty": pa.float64(),
        "bid": pa.float64(),
        "bid_qty": pa.float64(),
        "ask": pa.float64(),
        "ask_qty": pa.float64(),
        "exchange": _DICT,
        "condition": _DICT,
        "suspicious": pa.uint8(),
    }
    META: ClassVar[Sequence[str]] = ("feed", "venue", "seq", "clock_ns", "recv_ns", "eof")

    kind: Array
    symbol: Dictionary
    ts_ns: Array
    trade_id: Array
    price: Array
    qty: Array
    bid: Array
    bid_qty: Array
    ask: Array
    ask_qty: Array
    exchange: Dictionary
    condition: Dictionary
    suspicious: Array
    feed: str
    venue: str
    seq: int
    clock_ns: int
    recv_ns: int
    eof: bool = False


def empty_frame(*, feed: str, venue: str, seq: int, clock_ns: int, eof: bool = False) -> RawBatch:
    """Return a frame without rows; it moves the clock and keeps the count of frames whole."""
    none = np.zeros(0, np.int16)
    columns: dict[str, Any] = {
        name: ([], none) if kind == _DICT else none.astype(_NUMPY[kind]) for name, kind in RawBatch.COLUMNS.items()
    }
    return RawBatch(**columns, feed=feed, venue=venue, seq=seq, clock_ns=clock_ns, recv_ns=clock_ns, eof=eof)


@dataclass(slots=True, kw_only=True)
class TickBatch(_Batch):
    """Normalised ticks (`ticks`). `src_row` is the row in the raw frame `src`; `session` is days since 1970-01-01."""

    SCHEMA: ClassVar[str] = "ticks/1"
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "kind": pa.uint8(),
        "instrument": _DICT,
        "session": pa.int32(),
        "ts_ns": pa.int64(),
        "trade_id": pa.int64(),
        "price": pa.int64(),
        "qty": pa.int64(),
        "bid": pa.int64(),
        "bid_qty": pa.int64(),
        "ask": pa.int64(),
        "ask_qty": pa.int64(),
        "exchange": _DICT,
        "condition": _DICT,
        "flags": pa.uint16(),
        "src_row": pa.int32(),
    }
    META: ClassVar[Sequence[str]] = ("src", "feed", "clock_ns", "recv_ns")

    kind: Array
    instrument: Dictionary
    session: Array
    ts_ns: Array
    trade_id: Array
    price: Array
    qty: Array
    bid: Array
    bid_qty: Array
    ask: Array
    ask_qty: Array
    exchange: Dictionary
    condition: Dictionary
    flags: Array
    src_row: Array
    src: Source
    feed: str
    clock_ns: int
    recv_ns: int


@dataclass(slots=True, kw_only=True)
class BarBatch(_Batch):
    """Closed bars and their revisions (`bars`). `start_ns` is the first instant of the bar, `interval_s` its length."""

    SCHEMA: ClassVar[str] = "bars/1"
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "instrument": _DICT,
        "interval_s": pa.int32(),
        "session": pa.int32(),
        "start_ns": pa.int64(),
        "open": pa.int64(),
        "high": pa.int64(),
        "low": pa.int64(),
        "close": pa.int64(),
        "volume": pa.int64(),
        "trades": pa.int64(),
        "flags": pa.uint16(),
        "revision": pa.int32(),
    }
    META: ClassVar[Sequence[str]] = ("src", "clock_ns")
    MAX_ROWS: ClassVar[int] = MAX_BAR_ROWS

    instrument: Dictionary
    interval_s: Array
    session: Array
    start_ns: Array
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    trades: Array
    flags: Array
    revision: Array
    src: Source
    clock_ns: int


_META_READERS: Mapping[str, Any] = {
    str(str): str,
    str(int): int,
    str(bool): lambda text: {"True": True, "False": False}[text],
    str(Source): Source.parse,
}


class _Plan(NamedTuple):
    """What is the same for every batch of a class. The kind of a column is None for a dictionary."""

    schema: pa.Schema
    form: Form
    columns: tuple[tuple[str, Any, pa.DataType], ...]
    meta: tuple[tuple[str, Any], ...]
    length_of: str


_PLANS: dict[type[_Batch], _Plan] = {}


def _plan(cls: type[_Batch]) -> _Plan:
    return _PLANS.get(cls) or _PLANS.setdefault(cls, _make_plan(cls))


def _make_plan(cls: type[_Batch]) -> _Plan:
    types = {field.name: str(field.type) for field in fields(cls)}
    columns = tuple((name, None if kind == _DICT else _NUMPY[kind], kind) for name, kind in cls.COLUMNS.items())
    meta = tuple((name, _META_READERS[types[name]]) for name in cls.META)
    length_of = next(name for name, kind, _ in columns if kind is not None)
    schema = pa.schema(list(cls.COLUMNS.items()))
    return _Plan(schema, Form(schema, ("schema", cls.SCHEMA), cls.META), columns, meta, length_of)


def _from_arrow(column: pa.Array, kind: Any) -> Any:
    if kind is None:
        if column.null_count or column.dictionary.null_count:
            raise CodecError("BAD_FIELD", "a dictionary column holds nulls")
        return tuple(column.dictionary.to_pylist()), _values(column.indices, np.int16)
    values = _values(column, kind)
    if not column.null_count:
        return values
    bits = np.frombuffer(column.buffers()[0], np.uint8)
    valid = np.unpackbits(bits, count=column.offset + len(column), bitorder="little")[column.offset :] != 0
    if kind is np.int64:
        return np.where(valid, values, ABSENT)
    if kind is np.float64:
        return np.where(valid, values, np.nan)
    raise CodecError("BAD_FIELD", "a column that cannot be null holds nulls")


def _values(column: pa.Array, kind: Any) -> Array:
    # Not by to_numpy(), which imports pandas as well.
    if not len(column):
        return np.zeros(0, kind)
    return np.frombuffer(column.buffers()[1], kind, len(column), column.offset * np.dtype(kind).itemsize)
