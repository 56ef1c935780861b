"""Messages become rows with exactly the columns of their table; what cannot is a CodecError with a stable code."""

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from streaming.adapters.lake import arrow_schema
from streaming.sink_rows import BAR_FORM, FRAME_FORM, INTERVALS, TICK_FORM, TableForm
from streaming.transport.client import Record
from tests.streaming.market_rows import START_NS, bars, frame, record, ticks, with_column
from trading.codec import CodecError
from trading.instruments import CATALOGUE, InstrumentTable
from trading.messages import Source
from trading.schemas import BARS_V1, FRAMES_V1, TICKS_V1

START = datetime(2024, 3, 1, 14, 30, tzinfo=UTC)
DAY = date(2024, 3, 1)


def made(form: TableForm, message: Record) -> tuple[pa.Table, Source | None]:
    rows = form.read(message, CATALOGUE)
    table = form.table([rows.part])
    table.validate(full=True)
    assert table.num_rows == rows.number
    return table, rows.src


def test_a_trade_and_a_quote() -> None:
    """Each has its own sides, in the scale of its instrument; absent sides are null."""
    table, src = made(TICK_FORM, record(ticks(7, 2).encode()))
    assert src == Source(0, 7)
    assert table.schema.equals(arrow_schema(TICKS_V1))
    trade, quote = table.to_pylist()
    both = {
        "date": DAY,
        "exchange": "X",
        "condition": "",
        "flags": 16,
        "recv_ts": START + timedelta(microseconds=1),
        "src_partition": 0,
        "src_offset": 7,
    }
    assert trade == both | {
        "ts": START,
        "instrument": "BTC-USD.SIM",
        "kind": "trade",
        "trade_id": 7_000,
        "price": 61_234.56,
        "qty": 1.5,
        **dict.fromkeys(("bid", "bid_qty", "ask", "ask_qty")),
        "src_row": 10,
    }
    assert quote == both | {
        "ts": START + timedelta(seconds=1),
        "instrument": "XRP-USD.SIM",
        "kind": "quote",
        "trade_id": None,
        "price": None,
        "qty": None,
        "bid": 0.51234,
        "bid_qty": 1e-8,
        "ask": 0.51236,
        "ask_qty": 2.5,
        "src_row": 11,
    }


def test_bars_of_every_interval() -> None:
    """Intervals have names; a bar without trades has no prices; the row is the bar's place in the message."""
    table, src = made(BAR_FORM, record(bars(3).encode()))
    assert src == Source(0, 3)
    assert table.schema.equals(arrow_schema(BARS_V1))
    assert table["interval"].to_pylist() == list(INTERVALS.values()) == ["1m", "5m", "15m", "1h", "1d"]
    first, *_, last = table.to_pylist()
    assert first == {
        "date": DAY,
        "ts": START,
        "instrument": "BTC-USD.SIM",
        "interval": "1m",
        **dict.fromkeys(("open", "high", "low", "close"), 61_234.56),
        "volume": 0.25,
        "trades": 0,
        "flags": 0,
        "revision": 0,
        "src_partition": 0,
        "src_offset": 3,
        "src_row": 0,
    }
    assert (last["open"], last["revision"], last["src_row"]) == (None, 4, 4)


def test_a_frame_is_kept_byte_for_byte() -> None:
    """With its feed, its date by the feed's clock, and the time it was received."""
    payload = frame(5).encode()
    table, src = made(FRAME_FORM, record(payload, 9, "ticks.raw", 2))
    assert src is None
    assert table.schema.equals(arrow_schema(FRAMES_V1))
    assert table.to_pylist() == [
        {
            "date": DAY,
            "recv_ts": START + timedelta(microseconds=2),
            "feed": "sim",
            "payload": payload,
            "src_partition": 2,
            "src_offset": 9,
            "src_row": 0,
        }
    ]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"junk",
        ticks(1).encode(),
        bytes(10_000),
        frame(1, clock_ns=-1).encode(),
        frame(1, clock_ns=2**62).encode().replace(b"ticks.raw/1", b"ticks.raw/2"),
        None,
    ],
    ids=["empty", "junk", "ticks", "zeros", "before 1970", "other schema", "tombstone"],
)
def test_a_frame_that_cannot_be_read_is_kept_too(payload: bytes | None) -> None:
    """Under a date and a feed that no real frame has."""
    (row,) = made(FRAME_FORM, record(payload, 1, "ticks.raw"))[0].to_pylist()
    assert row["payload"] == (payload or b"")
    assert (row["date"], row["recv_ts"], row["feed"]) == (date(1970, 1, 1), None, "")


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"junk", "CORRUPT"),
        (bars(1).encode(), "WRONG_SCHEMA"),
        (with_column(ticks(1).encode(), "kind", 9), "BAD_FIELD"),
        (ticks(1, session=-1).encode(), "BAD_FIELD"),
        (ticks(1, session=2_000_000).encode(), "BAD_FIELD"),
    ],
)
def test_a_bad_tick_message_has_a_code(payload: bytes, code: str) -> None:
    """It goes to the dead letters."""
    with pytest.raises(CodecError) as caught:
        TICK_FORM.read(record(payload), CATALOGUE)
    assert caught.value.code == code


def test_a_bar_of_an_unknown_interval_has_a_code() -> None:
    """And the message names it."""
    with pytest.raises(CodecError, match="interval_s 61") as caught:
        BAR_FORM.read(record(bars(1, (60, 61)).encode()), CATALOGUE)
    assert caught.value.code == "BAD_FIELD"


def test_an_instrument_that_is_not_configured_has_a_code() -> None:
    """Its scale is unknown, so its amounts cannot be written."""
    with pytest.raises(CodecError, match=r"BTC-USD\.SIM") as caught:
        TICK_FORM.read(record(ticks(1).encode()), InstrumentTable([]))
    assert caught.value.code == "UNKNOWN_INSTRUMENT"


def test_a_batch_without_rows() -> None:
    """Is no row."""
    assert made(TICK_FORM, record(ticks(1, 0).encode()))[0].num_rows == 0
    assert START_NS % 1_000 == 0


@pytest.mark.parametrize(
    ("form", "messages"),
    [
        (TICK_FORM, [record(ticks(n, n % 4).encode(), n) for n in range(6)]),
        (BAR_FORM, [record(bars(n).encode(), n) for n in range(3)]),
        (
            FRAME_FORM,
            [record(payload, n, "ticks.raw", 2) for n, payload in enumerate([frame(5).encode(), b"junk", b""])],
        ),
    ],
    ids=["ticks", "bars", "frames"],
)
def test_messages_together_are_the_rows_of_each(form: TableForm, messages: list[Record]) -> None:
    """Whatever instruments, sources and numbers of rows they have."""
    parts = [form.read(message, CATALOGUE).part for message in messages]
    together = form.table(parts)
    together.validate(full=True)
    assert together.to_pylist() == [row for part in parts for row in form.table([part]).to_pylist()]
