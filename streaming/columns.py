"""Arrow columns from buffers, because pa.array() imports pandas where it is installed, and a worker must not."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from trading.codec import CodecError
from trading.market.batches import ABSENT, Array, Dictionary

# 2243: far enough, and Python's dates can hold it.
LAST_DAY = 100_000
# The values of one row, in the order of the columns.
PlainRow = tuple[Any, ...] | msgspec.Struct


def column(kind: pa.DataType, values: Array, present: Array | None = None) -> pa.Array:
    """Return numbers as a column of one kind; null where not `present`."""
    mask = None if present is None or present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [mask, pa.py_buffer(np.ascontiguousarray(values))])


def floats(amounts: Array, divisor: Array) -> pa.Array:
    """Return integer amounts as floats; null where absent."""
    return column(pa.float64(), amounts / divisor, amounts != ABSENT)


def integers(values: Array) -> pa.Array:
    """Return integers; null where absent."""
    return column(pa.int64(), values, values != ABSENT)


def days(session: Array) -> pa.Array:
    """Return session days as dates; raise `CodecError` for one that no date can hold."""
    check_days(session)
    return column(pa.date32(), session)


def check_days(session: Array) -> None:
    """Raise `CodecError` for a session day that no date can hold."""
    if len(session) and not (session.min() >= 0 and session.max() <= LAST_DAY):
        raise CodecError("BAD_FIELD", f"a session is not between day 0 and day {LAST_DAY}")


def strings(values: Sequence[bytes], kind: pa.DataType) -> pa.Array:
    """Return bytes as a column of strings or binaries."""
    ends = np.zeros(len(values) + 1, np.int32)
    np.cumsum([len(value) for value in values], out=ends[1:])
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(values))])


def texts(coded: Dictionary) -> pa.Array:
    """Return a dictionary column as plain strings."""
    values, codes = coded
    texts = strings([value.encode() for value in values], pa.utf8())
    return pa.DictionaryArray.from_arrays(column(pa.int32(), codes.astype(np.int32)), texts).cast(pa.utf8())


def merged(coded: Sequence[Dictionary]) -> Dictionary:
    """Return dictionary columns as one, a row after the other; a value may be in it more than once."""
    starts = np.cumsum([0, *(len(values) for values, _ in coded)])
    codes = [codes.astype(np.int32) + start for (_, codes), start in zip(coded, starts[:-1], strict=True)]
    return [value for values, _ in coded for value in values], np.concatenate(codes)


def from_rows(schema: pa.Schema, rows: Sequence[PlainRow]) -> pa.Table:
    """Return rows of plain values, none absent: times in us, dates in days since 1970, texts and bytes."""
    values = [row if isinstance(row, tuple) else msgspec.structs.astuple(row) for row in rows]
    columns = zip(*values, strict=True) if values else ((),) * len(schema)
    arrays = [_plain(field.type, column) for field, column in zip(schema, columns, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _plain(kind: pa.DataType, values: Sequence[Any]) -> pa.Array:
    if pa.types.is_string(kind):
        return strings([value.encode() for value in values], kind)
    if pa.types.is_binary(kind):
        return strings(values, kind)
    if pa.types.is_date32(kind):
        return days(np.array(values, np.int32))
    if pa.types.is_boolean(kind):
        bits = np.packbits(np.array(values, np.bool_), bitorder="little")
        return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(bits)])
    return column(kind, np.array(values, np.int32 if kind == pa.int32() else np.int64))
