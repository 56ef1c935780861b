import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.adapters.feed import FeedError
from streaming.adapters.feed_rows import Rows, Texts, check_columns, to_rows
from tests.streaming.adapters.tick_files import quotes, trades
from trading.ids import digest_int
from trading.market.batches import ABSENT, QUOTE, TRADE, RawBatch
from trading.messages import Reject


def read(table: pa.Table, kind: int = TRADE) -> tuple[Rows, list[Reject], Texts]:
    texts = Texts()
    rows, rejects = to_rows(table.combine_chunks().to_batches()[0], kind, texts, "file", 0)
    return rows, rejects, texts


def as_texts(table: pa.Table) -> pa.Table:
    return pa.table({name: table[name].cast(pa.string()).cast(pa.binary()) for name in table.column_names})


def test_trades_become_rows_and_a_frame() -> None:
    rows, rejects, texts = read(trades(7))
    frame = RawBatch.decode(rows.batch(texts, feed="f", venue="US", seq=3, clock_ns=5).encode())
    assert rejects == []
    assert (frame.feed, frame.venue, frame.seq, frame.clock_ns, frame.recv_ns, frame.eof) == ("f", "US", 3, 5, 5, False)
    assert [frame.symbol[0][code] for code in frame.symbol[1]] == ["IBM", "SPY"] * 3 + ["IBM"]
    assert frame.trade_id.tolist() == list(range(7))
    assert np.diff(frame.ts_ns).tolist() == [1_000_000_000] * 6
    assert frame.suspicious.tolist() == [1, 0, 0, 0, 0, 1, 0]
    assert np.isnan(frame.bid).all()


def test_the_side_of_a_quote_that_is_zero_is_absent() -> None:
    rows, _, _ = read(quotes(4), QUOTE)
    assert np.isnan(rows.bid).tolist() == [False, True, False, True]
    assert np.isnan(rows.ask_qty).tolist() == [True, False, True, False]
    assert (rows.trade_id == ABSENT).all()


def test_texts_give_the_same_rows_as_types() -> None:
    typed, _, typed_texts = read(trades(20))
    table = as_texts(trades(20)).set_column(2, "symbol", trades(20)["symbol"].dictionary_encode())
    read_, rejects, texts = read(table)
    assert rejects == []
    assert texts.values == typed_texts.values
    for name in Rows.__slots__:
        np.testing.assert_array_equal(getattr(read_, name), getattr(typed, name), name)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("price", b"12,5"),
        ("qty", b"many"),
        ("ts", b"2013-13-45"),
        ("ts", None),
        ("trade_id", None),
        ("symbol", b"\xff\xfe"),
    ],
)
def test_a_value_that_cannot_be_read_costs_its_row_alone(column: str, value: bytes | None) -> None:
    table = as_texts(trades(9))
    values = table[column].to_pylist()
    values[4] = value
    place = table.column_names.index(column)
    rows, rejects, _ = read(table.set_column(place, column, pa.array(values, pa.binary())))
    assert rows.trade_id.tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert [(reject.code, reject.row) for reject in rejects] == [("ROW_UNPARSEABLE", 4)]
    assert repr(column) in rejects[0].message
    assert "trade_id" in rejects[0].sample


@given(bad=st.sets(st.integers(0, 40)))
def test_exactly_the_bad_rows_are_refused(bad: set[int]) -> None:
    table = as_texts(trades(41))
    values = [b"x" if n in bad else value for n, value in enumerate(table["price"].to_pylist())]
    rows, rejects, _ = read(table.set_column(3, "price", pa.array(values, pa.binary())))
    assert {reject.row for reject in rejects} == bad
    assert rows.trade_id.tolist() == [n for n in range(41) if n not in bad]


def test_a_missing_price_is_left_to_the_normaliser() -> None:
    table = trades(3).set_column(3, "price", pa.array([1.0, None, 3.0]))
    rows, rejects, _ = read(table)
    assert rejects == []
    assert np.isnan(rows.price).tolist() == [False, True, False]


def test_trade_ids_of_letters_become_their_digest_and_times_without_zone_are_utc() -> None:
    table = as_texts(trades(3))
    ids = pa.array([b"17", b"T-1", b"T-2"], pa.binary())
    times = pa.array([b"2013-10-07 08:00:00"] * 3, pa.binary())
    rows, rejects, _ = read(table.set_column(0, "trade_id", ids).set_column(1, "ts", times))
    assert rejects == []
    assert rows.trade_id.tolist() == [17, digest_int("T-1"), digest_int("T-2")]
    assert set(rows.ts_ns.tolist()) == {1_381_132_800_000_000_000}


def test_columns_that_are_optional_may_be_missing() -> None:
    rows, rejects, texts = read(trades(3).drop_columns(["exchange", "condition", "suspicious"]))
    assert rejects == []
    assert {texts.values[code] for code in rows.exchange} == {""}
    assert not rows.suspicious.any()


@pytest.mark.parametrize("column", ["trade_id", "symbol", "price", "qty", "ts"])
def test_a_missing_column_is_named(column: str) -> None:
    names = [name for name in trades(1).column_names if name != column]
    with pytest.raises(FeedError, match=f"{column}.*rename or add") as raised:
        check_columns(names, "day.csv")
    assert raised.value.code == "FEED_COLUMN_MISSING"
    assert "day.csv" in str(raised.value)


def test_a_column_that_is_there_twice_is_named() -> None:
    with pytest.raises(FeedError, match=r"day\.csv: column 'price' is there twice") as raised:
        check_columns([*trades(1).column_names, "price", "note", "note"], "day.csv")
    assert raised.value.code == "FEED_COLUMN_TWICE"


def test_rows_join_and_divide() -> None:
    rows, _, _ = read(trades(10))
    parts = [rows.take(slice(0, 3)), Rows.empty(), rows.take(slice(3, None))]
    assert Rows.concat(parts).trade_id.tolist() == rows.trade_id.tolist()
