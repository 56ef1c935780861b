import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.market.frames import DAY, MINUTE, NAN, NS, OPEN, TABLE, Desk, Row, frame, quote, trade
from trading.codec import CodecError
from trading.market.batches import ABSENT, MAX_ROWS, QUOTE, BarBatch, TickBatch
from trading.market.flags import CROSS, GAP, LATE, STALE, SUSPICIOUS
from trading.market.ipc import encode_ipc
from trading.market.normalize import Normalizer
from trading.market.policy import MarketPolicy
from trading.messages import Source

CLOCK = OPEN + 10 * NS


def test_a_trade_becomes_an_exact_tick() -> None:
    desk = Desk()
    out = desk.send(trade(OPEN, 13.940000000000001, 500.0, id=6))
    (tick,) = desk.ticks
    assert tick["price"] == 139_400
    assert (tick["qty"], tick["trade_id"], tick["session"], tick["src_row"]) == (500, 6, DAY // (86_400 * NS), 0)
    assert tick["bid"] == tick["ask"] == tick["bid_qty"] == tick["ask_qty"] == ABSENT
    assert out.ticks[0].src == Source(0, 0)
    assert out.dead is None


def test_messages_survive_encoding() -> None:
    desk = Desk(shards=2)
    out = desk.send(trade(OPEN, 10, id=1), quote(OPEN + 1, 9.9), trade(OPEN + 2, 11, id=2, symbol="BBB"))
    for batch in out.ticks.values():
        back = TickBatch.decode(batch.encode())
        assert all(np.array_equal(getattr(back, n), getattr(batch, n)) for n in ("price", "bid", "ask", "session"))
    for bars in desk.finish(OPEN + MINUTE).bars.values():
        assert np.array_equal(BarBatch.decode(bars.encode()).close, bars.close)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (trade(CLOCK, 10, symbol="NOPE"), "UNKNOWN_SYMBOL"),
        (trade(CLOCK, NAN), "NOT_A_NUMBER"),
        (trade(CLOCK, float("inf")), "NOT_A_NUMBER"),
        (trade(CLOCK, 10, NAN), "NOT_A_NUMBER"),
        (trade(CLOCK, -10), "NEGATIVE_PRICE"),
        (trade(CLOCK, 0), "NEGATIVE_PRICE"),
        (trade(CLOCK, 10, -1), "NEGATIVE_SIZE"),
        (trade(CLOCK, 10, 0), "ZERO_SIZE"),
        (trade(CLOCK, 10, 0.4), "ZERO_SIZE"),
        (trade(CLOCK, 1e300), "OUT_OF_RANGE"),
        (trade(CLOCK, 1e-9), "OUT_OF_RANGE"),
        (trade(CLOCK, 10, 1e17), "OUT_OF_RANGE"),
        (trade(2**63 - 1, 10), "OUT_OF_RANGE"),
        (trade(-(2**63), 10), "OUT_OF_RANGE"),
        (quote(CLOCK), "EMPTY_QUOTE"),
        (quote(CLOCK, 0.0, 0.0), "EMPTY_QUOTE"),
        (quote(CLOCK, -1.0), "NEGATIVE_PRICE"),
        (Row(ts=CLOCK, kind=QUOTE, bid=10, bid_qty=-1), "NEGATIVE_SIZE"),
        (quote(CLOCK, float("inf")), "NOT_A_NUMBER"),
        (Row(ts=CLOCK, kind=QUOTE, ask=10, ask_qty=float("inf")), "NOT_A_NUMBER"),
        (Row(ts=CLOCK, kind=7, price=10, qty=1), "BAD_KIND"),
        (trade(CLOCK + 6 * NS, 10), "FROM_THE_FUTURE"),
        (trade(CLOCK - 5 * 86_400 * NS, 10), "FROM_THE_PAST"),
        (trade(CLOCK, 1_000.0), "PRICE_JUMP"),
        (trade(CLOCK, 0.1), "PRICE_JUMP"),
        (quote(CLOCK, 1_000.0), "PRICE_JUMP"),
    ],
)
def test_a_bad_row_is_refused_with_its_code_and_the_others_pass(row: Row, code: str) -> None:
    desk = Desk()
    out = desk.send(trade(OPEN, 10, id=1), row, trade(OPEN + 1, 10.01, id=2), clock=CLOCK)
    assert [tick["src_row"] for tick in desk.ticks] == [0, 2]
    (reject,) = desk.rejects
    assert (reject.code, reject.row) == (code, 1)
    assert "symbol=" in reject.sample
    assert out.dead is not None
    assert out.dead.ts_ns == CLOCK
    assert desk.normalizer.totals.codes == {code: 1}


def test_the_previous_session_is_still_taken() -> None:
    desk = Desk()
    friday = OPEN - 3 * 86_400 * NS
    desk.send(trade(friday, 10, id=1), clock=CLOCK)
    assert not desk.rejects
    assert desk.ticks[0]["flags"] == 0
    desk.send(trade(friday, 10, id=2), clock=CLOCK)
    assert desk.ticks[1]["flags"] == STALE | LATE


def test_one_sided_quotes_leave_the_other_side_absent() -> None:
    desk = Desk()
    desk.send(quote(OPEN, 10.0, 0.0), quote(OPEN + 1, NAN, 10.02))
    first, second = desk.ticks
    assert (first["bid"], first["ask"], first["ask_qty"]) == (100_000, ABSENT, ABSENT)
    assert (second["bid"], second["ask"], second["ask_qty"]) == (ABSENT, 100_200, 1)


def test_flags() -> None:
    desk = Desk()
    desk.send(trade(OPEN, 10, id=1), quote(OPEN + 1, 10.02, 10.0), trade(OPEN + 2, 10, id=2, suspicious=1))
    assert [tick["flags"] for tick in desk.ticks] == [0, CROSS, SUSPICIOUS]
    desk.seq += 1
    desk.send(clock=OPEN + 3)
    desk.send(trade(OPEN + 4, 10, id=3))
    desk.send(clock=OPEN + 5 * NS + 6)
    desk.send(trade(OPEN + 5, 10, id=4), trade(OPEN + 6, 10, id=5), clock=OPEN + 5 * NS + 7)
    assert [tick["flags"] for tick in desk.ticks[3:]] == [GAP, STALE, 0]
    assert desk.normalizer.totals.gaps == 1


def test_a_repeated_id_is_a_duplicate_and_an_absent_one_never() -> None:
    desk = Desk()
    desk.send(trade(OPEN, 10, id=5), trade(OPEN, 10, id=5), trade(OPEN, 10), trade(OPEN, 10))
    desk.send(trade(OPEN, 10, id=5), trade(OPEN, 10, id=5, symbol="BBB"))
    assert [(tick["trade_id"], tick["instrument"]) for tick in desk.ticks] == [
        (5, "AAA.US"),
        (ABSENT, "AAA.US"),
        (ABSENT, "AAA.US"),
        (5, "BBB.US"),
    ]
    assert desk.normalizer.totals.duplicates == 2


def test_the_same_id_in_another_session_is_another_trade() -> None:
    desk = Desk()
    desk.send(trade(OPEN, 10, id=5))
    desk.send(trade(OPEN + 86_400 * NS, 10, id=5))
    assert len(desk.ticks) == 2


def test_a_frame_sent_again_is_dropped_whole() -> None:
    desk = Desk()
    made = frame([trade(OPEN, 10)], 0).encode()
    desk.give(made)
    out = desk.give(made)
    assert not out.ticks
    assert desk.normalizer.totals.duplicate_frames == 1
    assert desk.normalizer.totals.duplicates == 1


def test_an_unknown_venue_is_dead_letters() -> None:
    desk = Desk(venue="MARS")
    desk.send(trade(OPEN, 10), trade(OPEN, 11))
    assert desk.codes == ["UNKNOWN_SYMBOL"] * 2


def test_a_clock_that_leaps_is_refused_until_frames_agree() -> None:
    desk = Desk()
    desk.send(trade(OPEN, 10, id=1))
    far = OPEN + 900 * 86_400 * NS
    for number in range(5):
        desk.send(trade(far + number, 10, id=2), clock=far + number)
    assert desk.codes == ["BAD_CLOCK"] * 5
    desk.send(trade(far + 9, 10, id=2))
    assert len(desk.ticks) == 2
    assert desk.normalizer.totals.bad_frames == 5


def test_a_clock_that_runs_back_is_ignored() -> None:
    desk = Desk()
    desk.send(trade(OPEN + 60 * NS, 10))
    desk.send(trade(OPEN + 60 * NS, 10), clock=OPEN)
    assert desk.normalizer._lanes["US"].clock.clock_ns == OPEN + 60 * NS
    assert not desk.rejects


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"seq": 10**30}, "BAD_FIELD"),
        ({"clock_ns": -(10**30)}, "BAD_FIELD"),
        ({"seq": 2**62}, "BAD_SEQ"),
        ({"exchange": (["x" * 2_000], np.zeros(1, np.int16))}, "BAD_FIELD"),
    ],
)
def test_hostile_metadata_is_a_dead_letter(change: dict[str, object], code: str) -> None:
    desk = Desk()
    made = frame([trade(OPEN, 10)], 0)
    for name, value in change.items():
        setattr(made, name, value)
    desk.give(made.encode())
    assert desk.codes == [code]
    assert desk.rejects[0].row == -1


def test_feeds_are_bounded() -> None:
    desk = Desk()
    for number in range(65):
        desk.give(frame([trade(OPEN, 10)], 0, feed=f"feed{number}").encode())
    assert desk.codes == ["TOO_MANY_FEEDS"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_bytes_raise(data: st.DataObject) -> None:
    good = frame([trade(OPEN, 10, id=1), quote(OPEN, 9.9, 10.1)], 0).encode()
    spoiled = bytearray(good)
    for _ in range(data.draw(st.integers(1, 8))):
        spoiled[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(good)))
    desk = Desk()
    desk.give(bytes(spoiled))
    desk.give(good[:cut])
    desk.give(data.draw(st.binary(max_size=200)))
    assert desk.normalizer.totals.frames == 3


def test_codes_of_frames() -> None:
    desk = Desk()
    rows = [trade(OPEN, 10)] * (MAX_ROWS + 1)
    desk.give(frame(rows, 0).encode())
    desk.give(b"\0" * (5 << 20))
    desk.give(b"not arrow")
    desk.give(desk.send(trade(OPEN, 10)).ticks[0].encode())
    made = frame([trade(OPEN, 10)], 1)
    desk.give(encode_ipc(pa.RecordBatch.from_pydict({"a": [1]}).replace_schema_metadata({"schema": made.SCHEMA})))
    assert desk.codes == ["TOO_MANY_ROWS", "TOO_LARGE", "CORRUPT", "WRONG_SCHEMA", "BAD_COLUMNS"]


def test_too_many_ids_are_refused() -> None:
    desk = Desk()
    desk.normalizer._lanes["US"].dedup._max_words = 2
    desk.send(trade(OPEN, 10, id=1), trade(OPEN, 10, id=1_000))
    desk.send(trade(OPEN, 10, id=2), trade(OPEN, 10, id=10**9))
    desk.send(trade(OPEN, 10, id=3))
    assert desk.codes == ["TOO_MANY_IDS"] * 3
    assert len(desk.ticks) == 2


def test_a_price_jump_cannot_lock_an_instrument_out() -> None:
    desk = Desk()
    desk.send(trade(OPEN, 10.0, id=0))
    for number in range(1, 8):
        desk.send(trade(OPEN + number, 500.0 + number, id=number))
    assert desk.codes == ["PRICE_JUMP"] * 5
    assert [tick["price"] for tick in desk.ticks] == [100_000, 5_060_000, 5_070_000]


def test_prices_are_conflated_to_the_newest() -> None:
    desk = Desk()
    desk.send(trade(OPEN, 10.0), quote(OPEN + 1, 9.99), trade(OPEN + 2, 10.5))
    desk.send(trade(OPEN + 3, 10.6), quote(OPEN + 4, NAN, 10.7), trade(OPEN + 1, 9.0))
    desk.send(clock=OPEN + 200_000_000)
    assert [(p.instrument, p.last, p.bid, p.ask, p.ts_ns) for p in desk.prices] == [
        ("AAA.US", "10.5", "9.99", None, OPEN + 2),
        ("AAA.US", "10.6", "9.99", "10.7", OPEN + 4),
    ]


def test_restore_refuses_what_it_cannot_use() -> None:
    desk = Desk()
    desk.send(trade(OPEN, 10.0))
    payload = desk.normalizer.snapshot()
    with pytest.raises(CodecError, match="not a snapshot"):
        Normalizer.restore(payload[:-3], TABLE, MarketPolicy(), 1)
    assert Normalizer.restore(payload, TABLE, MarketPolicy(), 1).snapshot() == payload
