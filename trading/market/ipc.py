"""Arrow IPC streams of one record batch, byte for byte as pyarrow writes them, without its cost for each message.

All messages of a schema are alike but for lengths and values, so the rest is copied from what pyarrow wrote once. What
is read must be exactly what would be written; anything else is not judged here but left to pyarrow.
"""

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

Array = np.ndarray[Any, np.dtype[Any]]
Texts = tuple[str, ...]
ABSENT = -(2**63)
CACHED = 1_024
# Larger ones are made anew each time.
CACHED_BYTES = 16_384
# A code of a dictionary is an int16.
MAX_TEXTS = 2**15

# Given, so that the writer does not look its defaults up in the environment at each message.
_OPTIONS = pa.ipc.IpcWriteOptions()
_END = b"\xff\xff\xff\xff\0\0\0\0"
_PADS = tuple(bytes(n) for n in range(8))
_U16, _I32, _U32, _I64 = (struct.Struct(f"<{code}") for code in "HiIq")
# Fields of the flatbuffer tables in Arrow's Message.fbs.
_HEADER, _BODY_LENGTH = 2, 3
_DATA = 1
_LENGTH, _NODES, _BUFFERS = 0, 1, 2


def encode_ipc(batch: pa.RecordBatch) -> bytes:
    """Return one record batch as a self-contained IPC stream, by pyarrow."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=_OPTIONS) as writer:
        writer.write_batch(batch)
    payload: bytes = sink.getvalue().to_pybytes()
    return payload


class Head(NamedTuple):
    """The schema message for metadata of certain lengths: what lies between the values, and where these are."""

    pieces: tuple[bytes, ...]
    spans: tuple[tuple[int, int, int], ...]
    size: int


class Layout(NamedTuple):
    """The record batch message for a number of rows and the columns that hold nulls."""

    before_nodes: bytes
    after_nodes: bytes
    body: int
    bits: tuple[tuple[int, bytes], ...]
    data: tuple[tuple[int, bytes], ...]


class Frame:
    """The metadata of a message with columns, in which only the lengths change."""

    def __init__(self, message: bytes, *, dictionary: bool) -> None:
        root = 8 + _U32.unpack_from(message, 8)[0]
        batch = _table(message, root, _HEADER)
        if dictionary:
            batch = _table(message, batch, _DATA)
        self._message = message
        self.size = len(message)
        self.body_at = _place(message, root, _BODY_LENGTH)
        self.rows_at = _place(message, batch, _LENGTH)
        self.nodes_at = _table(message, batch, _NODES) + 4
        self._buffers_at = _table(message, batch, _BUFFERS) + 4

    def fill(self, rows: int, nodes: Sequence[int], buffers: Sequence[int], body: int) -> bytes:
        """Return the metadata with these lengths."""
        filled = bytearray(self._message)
        _I64.pack_into(filled, self.body_at, body)
        _I64.pack_into(filled, self.rows_at, rows)
        struct.pack_into(f"<{len(nodes)}q", filled, self.nodes_at, *nodes)
        struct.pack_into(f"<{len(buffers)}q", filled, self._buffers_at, *buffers)
        return bytes(filled)


class Form:
    """The one form of the messages of a schema whose metadata has the given keys, the first with a fixed value."""

    def __init__(self, schema: pa.Schema, fixed: tuple[str, str], keys: Sequence[str]) -> None:
        self._schema, self._fixed, self._keys = schema, fixed, tuple(keys)
        types = [field.type for field in schema]
        self._texts = [number for number, kind in enumerate(types) if pa.types.is_dictionary(kind)]
        self._types = [np.dtype(np.int16 if number in self._texts else str(kind)) for number, kind in enumerate(types)]
        self._nullable = [number for number, kind in enumerate(types) if pa.types.is_int64(kind)]
        self._nullable_set = frozenset(self._nullable)
        self._nodes = struct.Struct(f"<{2 * len(types)}q")
        messages = list(_messages(self._sample(("",) * len(keys))))
        self._frames = [Frame(message, dictionary=True) for message in messages[1:-1]]
        self._frame = Frame(messages[-1], dictionary=False)
        self._heads: dict[tuple[int, ...], Head] = {}
        self._dictionaries: dict[tuple[int, Texts], bytes] = {}
        self._known_texts: dict[bytes, Texts] = {}
        self._layouts: dict[tuple[int, int], Layout] = {}

    def write(self, columns: Sequence[Any], meta: Sequence[str]) -> bytes:
        """Return a message; a dictionary column is (texts, codes)."""
        if not len(columns[self._nullable[0]]):
            return self._write_empty(columns, meta)
        values = [value.encode() for value in meta]
        head = self._head(tuple(map(len, values)))
        parts: list[Any] = [head.pieces[0]]
        for (key, _, _), piece in zip(head.spans, head.pieces[1:], strict=True):
            parts += (values[key], piece)
        data = list(columns)
        for number, column in enumerate(self._texts):
            texts, data[column] = columns[column]
            parts.append(self._dictionary(number, tuple(texts)))
        data = [np.ascontiguousarray(each, kind) for each, kind in zip(data, self._types, strict=True)]
        rows = len(data[0])
        self._check(columns, data)
        absent = np.concatenate([data[number] for number in self._nullable]).reshape(-1, rows) == ABSENT
        counts = absent.sum(axis=1).tolist()
        bits = np.packbits(~absent, axis=1, bitorder="little") if any(counts) else absent
        nodes = [rows, 0] * len(data)
        nulls = 0
        for number, count in zip(self._nullable, counts, strict=True):
            if count:
                nodes[2 * number + 1] = count
                nulls |= 1 << number
        layout = self._layout(rows, nulls)
        parts += (layout.before_nodes, self._nodes.pack(*nodes), layout.after_nodes)
        bit_rows = dict(zip(self._nullable, bits, strict=True))
        for number, column in enumerate(data):
            if nulls >> number & 1:
                parts += (bit_rows[number], layout.bits[number][1])
            parts += (column, layout.data[number][1])
        parts.append(_END)
        return b"".join(parts)

    def read(self, payload: bytes, max_rows: int) -> tuple[list[Any], list[str]] | None:
        """Return columns and metadata as they were given to `write`, or None when the message has another form."""
        try:
            opened = self._open(payload)
            return None if opened is None else self._columns(payload, max_rows, *opened)
        except (struct.error, ValueError):
            return None

    def head(self, payload: bytes) -> tuple[int, list[str]] | None:
        """Return the number of rows and the metadata, or None when the message has another form."""
        try:
            opened = self._open(payload)
            if opened is None:
                return None
            meta, _, at = opened
            rows, body = (
                _I64.unpack_from(payload, at + place)[0] for place in (self._frame.rows_at, self._frame.body_at)
            )
        except (struct.error, ValueError):
            return None
        return (rows, meta) if len(payload) == at + self._frame.size + body + len(_END) else None

    def learn(self, meta: Sequence[str]) -> None:
        """Get ready to read messages whose metadata has these lengths."""
        lengths = tuple(len(value.encode()) for value in meta)
        if sum(lengths) <= CACHED_BYTES:
            self._head(lengths)

    def _check(self, columns: Sequence[Any], data: Sequence[Array]) -> None:
        rows = len(data[0])
        if not rows or any(len(column) != rows for column in data):
            raise ValueError(f"columns of {[len(column) for column in data]} rows")
        for column in self._texts:
            if _largest(data[column]) >= min(len(columns[column][0]), MAX_TEXTS):
                raise ValueError(f"a code of column {self._schema.names[column]} is outside its dictionary")

    def _open(self, payload: bytes) -> tuple[list[str], list[Texts], int] | None:
        """Return metadata, texts, and where the record batch message starts."""
        found = next(((h, values) for h in self._heads.values() if (values := _values(payload, h)) is not None), None)
        if found is None:
            return None
        head, values = found
        meta = [""] * len(self._keys)
        for (key, _, _), value in zip(head.spans, values, strict=True):
            meta[key] = value.decode()
        at = head.size
        texts = []
        for number, frame in enumerate(self._frames):
            end = at + frame.size + _I64.unpack_from(payload, at + frame.body_at)[0]
            message = payload[at:end]
            known = self._known_texts.get(message) or self._read_dictionary(number, message)
            if known is None:
                return None
            texts.append(known)
            at = end
        return meta, texts, at

    def _columns(
        self, payload: bytes, max_rows: int, meta: list[str], texts: list[Texts], at: int
    ) -> tuple[list[Any], list[str]] | None:
        frame, rows = self._frame, _I64.unpack_from(payload, at + self._frame.rows_at)[0]
        packed = payload[at + frame.nodes_at : at + frame.nodes_at + self._nodes.size]
        nodes = self._nodes.unpack(packed)
        counts = nodes[1::2]
        if not 0 < rows <= max_rows:
            return None
        nulls = sum(1 << number for number, count in enumerate(counts) if count)
        layout = self._layout(rows, nulls)
        body = at + frame.size
        if (
            any(count and number not in self._nullable_set for number, count in enumerate(counts))
            or nodes[::2] != (rows,) * len(counts)
            or payload[at : at + frame.nodes_at] != layout.before_nodes
            or payload[body - len(layout.after_nodes) : body] != layout.after_nodes
            or payload[body + layout.body :] != _END
        ):
            return None
        columns: list[Any] = []
        for number, (kind, (place, _), count) in enumerate(zip(self._types, layout.data, counts, strict=True)):
            column = np.frombuffer(payload, kind, rows, body + place)
            if count:
                packed_bits = np.frombuffer(payload, np.uint8, (rows + 7) // 8, body + layout.bits[number][0])
                present = np.unpackbits(packed_bits, count=rows, bitorder="little").view(np.bool_)
                if rows - np.count_nonzero(present) != count:
                    return None
                column = np.where(present, column, ABSENT)
            columns.append(column)
        for number, known in zip(self._texts, texts, strict=True):
            if _largest(columns[number]) >= min(len(known), MAX_TEXTS):
                return None
            columns[number] = known, columns[number]
        return columns, meta

    def _head(self, lengths: tuple[int, ...]) -> Head:
        found = self._heads.get(lengths)
        if found is None:
            if len(self._heads) >= CACHED:
                self._heads.clear()
            # Two letters for each value: where the messages differ, there it is.
            one, other = (
                next(iter(_messages(self._sample([chr(first + n) * size for n, size in enumerate(lengths)]))))
                for first in (ord("A"), ord("a"))
            )
            found = self._heads[lengths] = _head_of(one, other, lengths)
        return found

    def _dictionary(self, number: int, texts: Texts) -> bytes:
        found = self._dictionaries.get((number, texts))
        if found is None:
            if len(self._dictionaries) >= CACHED:
                self._dictionaries.clear()
                self._known_texts.clear()
            found = self._make_dictionary(number, texts)
            if len(found) <= CACHED_BYTES:
                self._dictionaries[number, texts] = found
                self._known_texts[found] = texts
        return found

    def _read_dictionary(self, number: int, message: bytes) -> Texts | None:
        frame = self._frames[number]
        count = _I64.unpack_from(message, frame.rows_at)[0]
        ends = np.frombuffer(message, np.int32, count + 1, frame.size)
        data = message[frame.size + ends.nbytes + len(_pad(ends.nbytes)) :]
        texts = tuple(data[start:end].decode() for start, end in pairwise(ends.tolist()))
        return texts if self._dictionary(number, texts) == message else None

    def _make_dictionary(self, number: int, texts: Texts) -> bytes:
        offsets, data = _text_buffers(texts)
        places = [offsets.nbytes + len(_pad(offsets.nbytes)), len(data)]
        body = places[0] + places[1] + len(_pad(places[1]))
        frame = self._frames[number].fill(len(texts), (len(texts), 0), (0, 0, 0, offsets.nbytes, *places), body)
        return b"".join((frame, offsets.tobytes(), _pad(offsets.nbytes), data, _pad(len(data))))

    def _layout(self, rows: int, nulls: int) -> Layout:
        found = self._layouts.get((rows, nulls))
        if found is None:
            if len(self._layouts) >= 4 * CACHED:
                self._layouts.clear()
            found = self._layouts[rows, nulls] = self._make_layout(rows, nulls)
        return found

    def _make_layout(self, rows: int, nulls: int) -> Layout:
        at, buffers = 0, []
        bits: list[tuple[int, bytes]] = []
        data: list[tuple[int, bytes]] = []
        for number, kind in enumerate(self._types):
            for size, places in (((rows + 7) // 8 if nulls >> number & 1 else 0, bits), (rows * kind.itemsize, data)):
                buffers += [at, size]
                places.append((at, _pad(size)))
                at += size + len(_pad(size))
        filled = self._frame.fill(rows, (), buffers, at)
        nodes_at = self._frame.nodes_at
        return Layout(filled[:nodes_at], filled[nodes_at + self._nodes.size :], at, tuple(bits), tuple(data))

    def _write_empty(self, columns: Sequence[Any], meta: Sequence[str]) -> bytes:
        return self._by_pyarrow(0, [tuple(columns[number][0]) for number in self._texts], meta)

    def _sample(self, meta: Sequence[str]) -> bytes:
        return self._by_pyarrow(1, [("x",)] * len(self._texts), meta)

    def _by_pyarrow(self, rows: int, dictionaries: Sequence[Texts], meta: Sequence[str]) -> bytes:
        # From buffers, because pa.array() imports pandas where it is installed: 1.5 s, and a worker must not.
        arrays = [
            pa.Array.from_buffers(pa.int16() if number in self._texts else field.type, rows, [None, _zeros(kind, rows)])
            for number, (field, kind) in enumerate(zip(self._schema, self._types, strict=True))
        ]
        for number, texts in zip(self._texts, dictionaries, strict=True):
            arrays[number] = pa.DictionaryArray.from_arrays(arrays[number], _strings(texts))
        described = {self._fixed[0]: self._fixed[1]} | dict(zip(self._keys, meta, strict=True))
        return encode_ipc(pa.RecordBatch.from_arrays(arrays, schema=self._schema.with_metadata(described)))


def _values(payload: bytes, head: Head) -> list[bytes] | None:
    if not payload.startswith(head.pieces[0]):
        return None
    values = []
    for (_, start, stop), piece in zip(head.spans, head.pieces[1:], strict=True):
        if not payload.startswith(piece, stop):
            return None
        values.append(payload[start:stop])
    return values


def _head_of(one: bytes, other: bytes, lengths: Sequence[int]) -> Head:
    pieces, spans = [], []
    at = start = 0
    while at < len(one):
        if one[at] == other[at]:
            at += 1
            continue
        number = one[at] - ord("A")
        pieces.append(one[start:at])
        start = at + lengths[number]
        spans.append((number, at, start))
        at = start
    return Head((*pieces, one[start:]), tuple(spans), len(one))


def _messages(payload: bytes) -> Any:
    """Yield the metadata of each message of a stream, without the bodies."""
    at = 0
    while not payload.startswith(_END, at):
        size = 8 + _I32.unpack_from(payload, at + 4)[0]
        message = payload[at : at + size]
        yield message
        body_at = _place(message, 8 + _U32.unpack_from(message, 8)[0], _BODY_LENGTH)
        at += size + (_I64.unpack_from(message, body_at)[0] if body_at else 0)


def _place(data: bytes, table: int, field: int) -> int:
    """Return where a field of a flatbuffer table is, 0 for one that is left out."""
    fields = table - _I32.unpack_from(data, table)[0]
    if 4 + 2 * field >= _U16.unpack_from(data, fields)[0]:
        return 0
    offset = _U16.unpack_from(data, fields + 4 + 2 * field)[0]
    return table + offset if offset else 0


def _table(data: bytes, table: int, field: int) -> int:
    """Return where the table or vector is to which a field points."""
    at = _place(data, table, field)
    return int(at + _U32.unpack_from(data, at)[0])


def _strings(texts: Texts) -> pa.Array:
    offsets, data = _text_buffers(texts)
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(data))


def _text_buffers(texts: Texts) -> tuple[Array, bytes]:
    encoded = [text.encode() for text in texts]
    offsets = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    return offsets, b"".join(encoded)


def _zeros(kind: "np.dtype[Any]", rows: int) -> pa.Buffer:
    return pa.py_buffer(np.zeros(rows, kind))


def _largest(codes: Array) -> int:
    return int(np.maximum.reduce(codes.view(np.uint16)))


def _pad(size: int) -> bytes:
    return _PADS[-size % 8]
