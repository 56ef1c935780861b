import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.trading.market.frames import OPEN, frame, quote, trade
from trading.codec import MAX_MESSAGE_BYTES, CodecError
from trading.market.batches import ABSENT, MAX_ROWS, RawBatch, TickBatch
from trading.market.ipc import encode_ipc
from trading.messages import Source

TRADES = frame([trade(OPEN, 10, id=1), trade(OPEN, 11, symbol="BBB")], 0)


def refused(payload: bytes) -> str:
    with pytest.raises(CodecError) as caught:
        RawBatch.decode(payload)
    return caught.value.code


def test_a_frame_comes_back_with_absent_values_as_null() -> None:
    back = RawBatch.decode(TRADES.encode())
    assert back.trade_id.tolist() == [1, ABSENT]
    assert np.isnan(back.bid).all()
    assert [back.symbol[0][code] for code in back.symbol[1]] == ["AAA", "BBB"]
    with pa.ipc.open_stream(TRADES.encode()) as reader:
        assert reader.read_next_batch().column("trade_id").null_count == 1


@given(st.integers(0, 50), st.data())
def test_ticks_of_any_integers_come_back(count: int, data: st.DataObject) -> None:
    values = st.one_of(st.just(ABSENT), st.integers(-(2**63), 2**63 - 1))
    column = data.draw(arrays.arrays(np.int64, count, elements=values))
    small = np.zeros(count, np.int16)
    ticks = TickBatch(
        kind=np.zeros(count, np.uint8),
        instrument=(["é"], small),
        session=small.astype(np.int32),
        flags=small.astype(np.uint16),
        src_row=small.astype(np.int32),
        exchange=([""], small),
        condition=([""], small),
        src=Source(1, 2),
        feed="f",
        clock_ns=1,
        recv_ns=2,
        **dict.fromkeys(("ts_ns", "trade_id", "price", "qty", "bid", "bid_qty", "ask", "ask_qty"), column),
    )
    back = TickBatch.decode(ticks.encode())
    assert np.array_equal(back.price, column)
    assert (back.src, len(back)) == (Source(1, 2), count)


def test_rows_are_taken_by_mask_and_by_index() -> None:
    assert TRADES.take(np.array([False, True])).price.tolist() == [11.0]
    assert TRADES.take(np.array([1, 0])).symbol[1].tolist() == [1, 0]


def test_codes_of_refusal() -> None:
    good = TRADES.encode()
    assert refused(b"") == refused(good[:100]) == "CORRUPT"
    assert refused(bytes(MAX_MESSAGE_BYTES + 1)) == "TOO_LARGE"
    assert refused(frame([quote(OPEN, 1)] * (MAX_ROWS + 1), 0).encode()) == "TOO_MANY_ROWS"


def test_a_code_outside_its_dictionary_is_corrupt() -> None:
    rows = [trade(OPEN, 10, symbol=f"S{n}") for n in (0, 1, 2, 3, 3, 3, 3)]
    payload = frame(rows, 0).encode()
    before, after = b"\3\0" * 4, b"\3\0" * 2 + b"\x63\0" * 2
    assert payload.count(before) == 1
    assert refused(payload.replace(before, after)) == "CORRUPT"


def test_columns_and_metadata_must_fit() -> None:
    with pa.ipc.open_stream(TRADES.encode()) as reader:
        batch = reader.read_next_batch()
    meta = dict(batch.schema.metadata)
    assert refused(encode_ipc(batch.drop_columns(["ask"]))) == "BAD_COLUMNS"
    assert refused(encode_ipc(batch.replace_schema_metadata(meta | {b"schema": b"ticks.raw/9"}))) == "WRONG_SCHEMA"
    assert refused(encode_ipc(batch.replace_schema_metadata(meta | {b"feed": b"\xff"}))) == "CORRUPT"
    for spoiled in ({b"seq": b"x"}, {b"eof": b"maybe"}):
        assert refused(encode_ipc(batch.replace_schema_metadata(meta | spoiled))) == "BAD_FIELD"
    meta.pop(b"clock_ns")
    assert refused(encode_ipc(batch.replace_schema_metadata(meta))) == "BAD_FIELD"


def test_nulls_where_none_may_be_are_refused() -> None:
    with pa.ipc.open_stream(TRADES.encode()) as reader:
        batch = reader.read_next_batch()
    for name in ("kind", "symbol"):
        at = batch.schema.get_field_index(name)
        nulls = pa.nulls(2, batch.schema.field(name).type)
        assert refused(encode_ipc(batch.set_column(at, batch.schema.field(name), nulls))) == "BAD_FIELD"
