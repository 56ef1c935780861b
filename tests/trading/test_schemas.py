"""The topics and tables as data, and a golden message of each topic: bytes of the past must stay readable."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trading.codec import decode, encode
from trading.market.batches import ABSENT, BarBatch, RawBatch, TickBatch
from trading.messages import DeadLetter, Price, Reject, Source
from trading.schemas import TABLES, TOPICS

GOLDEN = Path(__file__).parent / "golden"


def _dictionary(values: list[str], codes: list[int]) -> tuple[list[str], Any]:
    return values, np.array(codes, np.int16)


def _column(kind: type, *values: float) -> Any:
    return np.array(values, kind)


def _floats(*values: float) -> Any:
    return np.array(values, np.float64)


NAN = float("nan")
FRAME = RawBatch(
    kind=_column(np.uint8, 0, 1),
    symbol=_dictionary(["SPY", "IBM"], [0, 1]),
    ts_ns=_column(np.int64, 1_381_132_800_464_000_000, 1_381_132_800_500_000_000),
    trade_id=_column(np.int64, 7, ABSENT),
    price=_floats(167.41, NAN),
    qty=_floats(100, NAN),
    bid=_floats(NAN, 181.24),
    bid_qty=_floats(NAN, 200),
    ask=_floats(NAN, NAN),
    ask_qty=_floats(NAN, NAN),
    exchange=_dictionary(["P"], [0, 0]),
    condition=_dictionary(["", "20002000"], [1, 0]),
    suspicious=_column(np.uint8, 0, 1),
    feed="replay",
    venue="US",
    seq=3,
    clock_ns=1_381_132_800_500_000_000,
    recv_ns=1_381_132_800_500_000_001,
    eof=True,
)
TICKS = TickBatch(
    kind=_column(np.uint8, 0, 1),
    instrument=_dictionary(["IBM.US", "SPY.US"], [1, 0]),
    session=_column(np.int32, 15_985, 15_985),
    ts_ns=FRAME.ts_ns,
    trade_id=FRAME.trade_id,
    price=_column(np.int64, 1_674_100, ABSENT),
    qty=_column(np.int64, 100, ABSENT),
    bid=_column(np.int64, ABSENT, 1_812_400),
    bid_qty=_column(np.int64, ABSENT, 200),
    ask=_column(np.int64, ABSENT, ABSENT),
    ask_qty=_column(np.int64, ABSENT, ABSENT),
    exchange=FRAME.exchange,
    condition=FRAME.condition,
    flags=_column(np.uint16, 1, 8),
    src_row=_column(np.int32, 0, 1),
    src=Source(0, 42),
    feed="replay",
    clock_ns=FRAME.clock_ns,
    recv_ns=FRAME.recv_ns,
)
BARS = BarBatch(
    instrument=_dictionary(["SPY.US"], [0, 0]),
    interval_s=_column(np.int32, 60, 86_400),
    session=_column(np.int32, 15_985, 15_985),
    start_ns=_column(np.int64, 1_381_132_800_000_000_000, 1_381_118_400_000_000_000),
    open=_column(np.int64, 1_674_100, 1_674_100),
    high=_column(np.int64, 1_674_200, 1_689_000),
    low=_column(np.int64, 1_674_000, 1_670_100),
    close=_column(np.int64, 1_674_100, 1_673_000),
    volume=_column(np.int64, 2_449, 97_062_721),
    trades=_column(np.int64, 6, 250_601),
    flags=_column(np.uint16, 0, 16),
    revision=_column(np.int32, 0, 1),
    src=Source(0, 42),
    clock_ns=FRAME.clock_ns,
)
PRICE = Price(instrument="SPY.US", ts_ns=1_381_132_800_464_000_000, bid="167.4", last="167.41")
DEAD = DeadLetter(
    topic="ticks.raw",
    src=Source(0, 42),
    ts_ns=5,
    rejects=(Reject(code="NEGATIVE_PRICE", message="a price is not above 0", row=3, sample="kind=0 symbol=SPY"),),
)
BATCHES = {"ticks.raw": FRAME, "ticks": TICKS, "bars": BARS}


def test_each_topic_and_table_is_named_once() -> None:
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)
    assert len({table.name for table in TABLES}) == len(TABLES)
    for table in TABLES:
        names = [name for name, _ in table.columns]
        assert len(set(names)) == len(names)
        assert {*table.key, table.partition_by} <= set(names)


def test_every_topic_has_a_golden_message() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {topic.name for topic in TOPICS}


@pytest.mark.parametrize("topic", BATCHES)
def test_a_golden_batch_still_decodes(topic: str) -> None:
    wanted = BATCHES[topic]
    found = type(wanted).decode((GOLDEN / f"{topic}.bin").read_bytes())
    for name in wanted.COLUMNS:
        left, right = getattr(found, name), getattr(wanted, name)
        if isinstance(right, tuple):
            assert list(left[0]) == list(right[0])
            left, right = left[1], right[1]
        assert left.dtype == right.dtype
        assert np.array_equal(left, right, equal_nan=right.dtype == np.float64)
    assert [getattr(found, name) for name in wanted.META] == [getattr(wanted, name) for name in wanted.META]
    assert type(wanted).decode(wanted.encode()).encode() == found.encode()


@pytest.mark.parametrize("message", [PRICE, DEAD], ids=["prices", "deadletter"])
def test_a_golden_message_still_decodes_and_is_written_alike(message: Price | DeadLetter) -> None:
    payload = (GOLDEN / f"{message.schema.partition('/')[0]}.json").read_bytes()
    assert decode(payload, type(message)) == message
    assert encode(message) == payload
