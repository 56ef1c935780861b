"""Rows of a tick file as columns, in the layout of a raw frame but of any length, and what could not become a row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import pyarrow as pa

from streaming.adapters.feed import FeedError
from trading.ids import digest_int
from trading.market.batches import ABSENT, QUOTE, TRADE, Array, Dictionary, RawBatch
from trading.messages import Reject

TRADE_COLUMNS = ("trade_id", "symbol", "price", "qty")
QUOTE_COLUMNS = ("symbol", "bid", "bid_qty", "ask", "ask_qty")
TIME_COLUMNS = ("ts", "ts_ns")
OPTIONAL_COLUMNS = ("exchange", "condition", "suspicious")
KNOWN_COLUMNS = frozenset((*TRADE_COLUMNS, *QUOTE_COLUMNS, *TIME_COLUMNS, *OPTIONAL_COLUMNS))
SAMPLE_CHARS = 200
_KINDS = (np.uint8, np.int32, np.int64, np.int64, *[np.float64] * 6, np.int32, np.int32, np.uint8)


class Texts:
    """Numbers for the texts of one feed, so that blocks of several files share their dictionaries."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self._codes: dict[str, int] = {}

    def code(self, text: str) -> int:
        """Return the number of a text."""
        code = self._codes.get(text)
        if code is None:
            code = self._codes[text] = len(self.values)
            self.values.append(text)
        return code

    def codes(self, column: pa.Array) -> Array:
        """Return the numbers of a text column; null is the empty text."""
        encoded = column.dictionary_encode()
        numbers = np.array([self.code(text) for text in encoded.dictionary.to_pylist()] or [0], np.int32)
        codes = numbers[_values(encoded.indices, np.int32)]
        return np.where(_valid(column), codes, self.code("")).astype(np.int32) if column.null_count else codes

    def dictionary(self, codes: Array) -> Dictionary:
        """Return the texts in use and their codes, as a frame carries them."""
        used, compact = np.unique(codes, return_inverse=True)
        return [self.values[code] for code in used], compact.astype(np.int16)


@dataclass(slots=True)
class Rows:
    """Columns of equal length; texts are numbers of the feed's `Texts`."""

    kind: Array
    symbol: Array
    ts_ns: Array
    trade_id: Array
    price: Array
    qty: Array
    bid: Array
    bid_qty: Array
    ask: Array
    ask_qty: Array
    exchange: Array
    condition: Array
    suspicious: Array

    def __len__(self) -> int:
        return len(self.ts_ns)

    def take(self, rows: Array | slice) -> Self:
        """Return the chosen rows."""
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def empty(cls) -> "Rows":
        """Return no rows."""
        times = np.zeros(0, np.int64)
        return cls(*(times.astype(kind) for kind in _KINDS))

    @classmethod
    def concat(cls, parts: Sequence["Rows"]) -> "Rows":
        """Return the rows of all parts, in order."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def batch(self, texts: Texts, *, feed: str, venue: str, seq: int, clock_ns: int, eof: bool = False) -> RawBatch:
        """Return a frame, received at the feed's clock so that a second replay is the same bytes."""
        columns: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("symbol", "exchange", "condition"):
            columns[name] = texts.dictionary(columns[name])
        return RawBatch(**columns, feed=feed, venue=venue, seq=seq, clock_ns=clock_ns, recv_ns=clock_ns, eof=eof)


def check_columns(names: Sequence[str], where: str) -> int:
    """Return TRADE or QUOTE by the columns of a file; raise `FeedError` FEED_COLUMN_MISSING or FEED_COLUMN_TWICE."""
    present = set(names)
    twice = [name for name in names if name in KNOWN_COLUMNS and names.count(name) > 1]
    if twice:
        raise FeedError("FEED_COLUMN_TWICE", f"{where}: column {twice[0]!r} is there twice; remove or rename one")
    kind = TRADE if "price" in present or "trade_id" in present else QUOTE
    wanted = TRADE_COLUMNS if kind == TRADE else QUOTE_COLUMNS
    missing = [name for name in wanted if name not in present]
    if not present & set(TIME_COLUMNS):
        missing.append("ts")
    if missing:
        what = "trades" if kind == TRADE else "quotes"
        raise FeedError(
            "FEED_COLUMN_MISSING",
            f"{where}: {what} need column {missing[0]!r}, found {', '.join(sorted(present)) or 'none'}; "
            "rename or add the column",
        )
    return kind


def to_rows(table: pa.RecordBatch, kind: int, texts: Texts, where: str, first_row: int) -> tuple[Rows, list[Reject]]:
    """Return the rows of one chunk of a file and a reject ROW_UNPARSEABLE for each row that cannot be read."""
    count = table.num_rows
    reader = _Reader(table, texts, where, first_row)
    ts_ns = reader.times()
    symbol = reader.text("symbol")
    nan, absent = np.full(count, np.nan), np.full(count, ABSENT, np.int64)
    side = dict.fromkeys(("price", "qty", "bid", "bid_qty", "ask", "ask_qty"), nan)
    wanted = ("price", "qty") if kind == TRADE else ("bid", "bid_qty", "ask", "ask_qty")
    side |= {name: reader.number(name) for name in wanted}
    if kind == QUOTE:
        # Some venues write 0 for the side that did not change.
        for name in ("bid", "ask"):
            empty = (side[name] == 0) & (side[f"{name}_qty"] == 0)
            side[name], side[f"{name}_qty"] = (np.where(empty, np.nan, side[n]) for n in (name, f"{name}_qty"))
    rows = Rows(
        kind=np.full(count, kind, np.uint8),
        symbol=symbol,
        ts_ns=ts_ns,
        trade_id=reader.ids() if kind == TRADE else absent,
        **side,
        exchange=reader.text("exchange"),
        condition=reader.text("condition"),
        suspicious=reader.flags("suspicious"),
    )
    if not reader.bad:
        return rows, []
    good = np.ones(count, bool)
    good[list(reader.bad)] = False
    return rows.take(good), reader.rejects()


class _Reader:
    """Reads columns one by one and remembers which rows failed and why."""

    def __init__(self, table: pa.RecordBatch, texts: Texts, where: str, first_row: int) -> None:
        self._table, self._texts, self._where, self._first_row = table, texts, where, first_row
        self.bad: dict[int, str] = {}

    def number(self, name: str) -> Array:
        """Return a float column, NaN where it is empty."""
        column = self._read(name, lambda texts: texts.cast(pa.float64())).cast(pa.float64())
        values = _values(column, np.float64)
        return np.where(_valid(column), values, np.nan) if column.null_count else values

    def flags(self, name: str) -> Array:
        """Return a yes-or-no column as 0 and 1; a column that is not there is 0."""
        if name not in self._table.schema.names:
            return np.zeros(self._table.num_rows, np.uint8)
        column = self._read(name, lambda texts: texts.cast(pa.bool_())).cast(pa.bool_())
        return _values(column.cast(pa.uint8()), np.uint8)

    def times(self) -> Array:
        """Return nanoseconds since 1970: `ts_ns` as it is, `ts` as a timestamp, UTC where it names no zone."""
        if "ts_ns" in self._table.schema.names:
            return self._whole("ts_ns", self._read("ts_ns", lambda texts: texts.cast(pa.int64())))
        column = self._read("ts", _parse_time)
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("ns", column.type.tz))
        return self._whole("ts", column)

    def ids(self) -> Array:
        """Return the trade ids; a text that is no number becomes its digest."""
        return self._whole("trade_id", self._read("trade_id", _parse_ids))

    def text(self, name: str) -> Array:
        """Return a text column as numbers of the feed's texts; a column that is not there is the empty text."""
        if name not in self._table.schema.names:
            return np.full(self._table.num_rows, self._texts.code(""), np.int32)
        return self._texts.codes(self._read(name, lambda texts: texts).cast(pa.string()))

    def rejects(self) -> list[Reject]:
        """Return one reject for each bad row, with the row as it came."""
        rejects = []
        for row, why in sorted(self.bad.items()):
            number = self._first_row + row
            sample = str(self._table.slice(row, 1).to_pylist()[0])[:SAMPLE_CHARS]
            message = f"{self._where}: row {number}: {why}"
            rejects.append(Reject(code="ROW_UNPARSEABLE", message=message, row=number, sample=sample))
        return rejects

    def _read(self, name: str, parse: Callable[[pa.Array], pa.Array]) -> pa.Array:
        column = self._table.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if not (_is_text(column.type) or pa.types.is_binary(column.type)):
            return column
        return pa.concat_arrays(self._parse(name, column, parse, 0))

    def _parse(self, name: str, column: pa.Array, parse: Callable[[pa.Array], pa.Array], first: int) -> list[pa.Array]:
        """Parse a text column; halve what fails until the bad values stand alone, and give those as null."""
        try:
            return [parse(column.cast(pa.string()))]
        except (pa.ArrowInvalid, ValueError):
            if len(column) == 1:
                self.bad.setdefault(first, f"column {name!r} holds {column[0].as_py()!r}")
                return [parse(pa.nulls(1, pa.string()))]
        half = len(column) // 2
        left = self._parse(name, column.slice(0, half), parse, first)
        return left + self._parse(name, column.slice(half), parse, first + half)

    def _whole(self, name: str, column: pa.Array) -> Array:
        """Return an integer column; a row without a value is bad."""
        if column.null_count:
            for row in np.flatnonzero(~_valid(column)):
                self.bad.setdefault(int(row), f"column {name!r} is empty")
        return _values(column.cast(pa.int64()), np.int64)


def _parse_time(texts: pa.Array) -> pa.Array:
    try:
        return texts.cast(pa.timestamp("ns", "UTC"))
    except pa.ArrowInvalid:
        return texts.cast(pa.timestamp("ns")).cast(pa.timestamp("ns", "UTC"))


def _parse_ids(texts: pa.Array) -> pa.Array:
    try:
        return texts.cast(pa.int64())
    except pa.ArrowInvalid:
        ids = np.array([ABSENT if text is None else _id(text) for text in texts.to_pylist()], np.int64)
        present = pa.py_buffer(np.packbits(ids != ABSENT, bitorder="little"))
        return pa.Array.from_buffers(pa.int64(), len(ids), [present, pa.py_buffer(ids)])


def _id(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else digest_int(text)


def _values(column: pa.Array, kind: type[np.generic]) -> Array:
    """Return the values of a fixed-width column, 0 where it is null."""
    # From the buffers, because fill_null() imports pandas where it is installed: 1.5 s, and a worker must not.
    if not len(column):
        return np.zeros(0, kind)
    values = np.frombuffer(column.buffers()[1], kind, len(column), column.offset * np.dtype(kind).itemsize)
    return np.where(_valid(column), values, kind(0)) if column.null_count else values


def _valid(column: pa.Array) -> Array:
    return _values(column.is_valid().cast(pa.uint8()), np.uint8).astype(bool)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
