from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.market.frames import OPEN, frame, quote, trade
from trading.codec import CodecError
from trading.market.batches import ABSENT, RawBatch
from trading.market.ipc import Form, encode_ipc

SCHEMA = pa.schema(
    [
        ("text", pa.dictionary(pa.int16(), pa.utf8())),
        ("small", pa.uint8()),
        ("one", pa.int64()),
        ("other", pa.int64()),
        ("real", pa.float64()),
        ("last", pa.dictionary(pa.int16(), pa.utf8())),
    ]
)
FORM = Form(SCHEMA, ("schema", "test/1"), ("feed", "seq"))
INTEGERS = st.one_of(st.just(ABSENT), st.integers(-(2**63), 2**63 - 1))


@st.composite
def messages(draw: Callable[[Any], Any]) -> tuple[list[Any], list[str]]:
    rows = draw(st.integers(0, 40))
    columns: list[Any] = []
    for field in SCHEMA:
        if pa.types.is_dictionary(field.type):
            texts = tuple(draw(st.lists(st.text(max_size=9), min_size=1, max_size=5, unique=True)))
            codes = draw(st.lists(st.integers(0, len(texts) - 1), min_size=rows, max_size=rows))
            columns.append((texts, np.array(codes, np.int16)))
        elif pa.types.is_int64(field.type):
            columns.append(np.array(draw(st.lists(INTEGERS, min_size=rows, max_size=rows)), np.int64))
        else:
            columns.append(np.arange(rows).astype(str(field.type).replace("double", "float64")))
    return columns, [draw(st.text(max_size=30)), str(draw(st.integers(0, 2**64)))]


def same(found: Any, given_: Any) -> bool:
    if isinstance(given_, tuple):
        return bool(found[0] == given_[0] and np.array_equal(found[1], given_[1]))
    return bool(np.array_equal(found, given_))


@settings(max_examples=200, deadline=None)
@given(messages())
def test_it_writes_what_pyarrow_writes_and_reads_it(message: tuple[list[Any], list[str]]) -> None:
    columns, meta = message
    payload = FORM.write(columns, meta)
    with pa.ipc.open_stream(payload) as reader:
        batch = reader.read_next_batch()
    batch.validate(full=True)
    assert encode_ipc(batch) == payload
    assert batch.schema.metadata == {b"schema": b"test/1", b"feed": meta[0].encode(), b"seq": meta[1].encode()}
    assert batch.column("one").null_count == np.count_nonzero(columns[2] == ABSENT)
    if not batch.num_rows:
        assert FORM.read(payload, 40) is None
        return
    # Another process learns the lengths of the metadata, and the texts as they come.
    fresh = Form(SCHEMA, ("schema", "test/1"), ("feed", "seq"))
    assert fresh.read(payload, 40) is None
    fresh.learn(meta)
    for form in (FORM, fresh):
        found = form.read(payload, 40)
        assert found is not None
        assert all(same(*pair) for pair in zip(found[0], columns, strict=True))
        assert found[1] == meta
        assert form.head(payload) == (batch.num_rows, meta)
    assert FORM.read(payload, batch.num_rows - 1) is None


@settings(deadline=None)
@given(st.data())
def test_a_spoiled_message_is_read_as_pyarrow_reads_it_or_left_to_it(data: st.DataObject) -> None:
    payload = bytearray(frame([trade(OPEN, 10, id=1), quote(OPEN, 11), trade(OPEN, 9, symbol="BBB", id=2)], 0).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        by_pyarrow = RawBatch._judge(bytes(payload))
    except CodecError:
        by_pyarrow = None
    try:
        found = RawBatch.decode(bytes(payload))
    except CodecError:
        return
    assert by_pyarrow is not None
    for name, column in zip(RawBatch.COLUMNS, by_pyarrow[0], strict=True):
        mine = getattr(found, name)
        assert same(mine, column) or np.array_equal(mine, column, equal_nan=True)


def test_no_bit_of_a_length_may_differ() -> None:
    payload = frame([trade(OPEN, 10, id=1), quote(OPEN, 11)], 0).encode()
    spoiled = (bytearray(payload) for _ in range(8 * len(payload)))
    for bit, message in enumerate(spoiled):
        message[bit // 8] ^= 1 << bit % 8
        try:
            RawBatch.decode(bytes(message))
        except CodecError:
            continue
        RawBatch._judge(bytes(message))


def test_what_comes_behind_or_lacks_is_left_to_pyarrow() -> None:
    payload = frame([trade(OPEN, 10, id=1)], 0).encode()
    assert RawBatch.head(payload) is not None
    for other in (payload + b"\0", payload[:-1], payload[:-8], payload[:900], b""):
        assert RawBatch.head(other) is None


def test_columns_that_do_not_fit_are_not_written() -> None:
    columns: list[Any] = [(("a",), np.zeros(2, np.int16)), *(np.zeros(2, t) for t in (np.uint8, int, int, float))]
    with pytest.raises(ValueError, match=r"\[2, 2, 2, 2, 2, 1\] rows"):
        FORM.write([*columns, (("a",), np.zeros(1, np.int16))], ["", ""])
    for code in (1, -1):
        with pytest.raises(ValueError, match="column last"):
            FORM.write([*columns, (("a",), np.array([0, code], np.int16))], ["", ""])
