import numpy as np
import pytest

from streaming.adapters.feed_sim import SimFeed
from streaming.adapters.feed_sim_faults import FRAME_FAULTS, OVERSIZE_BYTES, ROW_FAULTS, UNKNOWN_SYMBOL, SimFaults
from streaming.settings import FaultSettings, FeedSettings
from trading.codec import CodecError
from trading.market.batches import TRADE, RawBatch

CLEAN = FeedSettings(rate=0, batch_rows=500, burst=1)


def pair(**shares: float) -> tuple[RawBatch, RawBatch, SimFaults]:
    """Return a clean frame, the same one spoiled, and the faults that spoiled it."""
    spoiled = SimFeed(CLEAN.model_copy(update={"faults": FaultSettings(**shares)}))
    return SimFeed(CLEAN).frame(3, 0), spoiled.frame(3, 0), spoiled.faults


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("late", "ts_ns"),
        ("future", "ts_ns"),
        ("past", "ts_ns"),
        ("nan", "price"),
        ("negative", "qty"),
        ("jump", "price"),
    ],
)
def test_a_row_fault_changes_its_column_alone_and_is_counted(name: str, column: str) -> None:
    clean, spoiled, faults = pair(**{name: 0.1})
    before, after = getattr(clean, column), getattr(spoiled, column)
    changed = np.flatnonzero(~((before == after) | (np.isnan(before) & np.isnan(after))))
    assert len(changed) == faults.applied[name] > 0
    for other in ("ts_ns", "price", "qty", "bid", "ask"):
        if other != column:
            np.testing.assert_array_equal(getattr(clean, other), getattr(spoiled, other))


def test_an_unknown_symbol_is_one_that_no_instrument_has() -> None:
    _, spoiled, faults = pair(unknown_symbol=0.1)
    names = np.array(spoiled.symbol[0])[spoiled.symbol[1]]
    assert (names == UNKNOWN_SYMBOL).sum() == faults.applied["unknown_symbol"] > 0


def test_a_duplicate_is_a_clean_trade_of_the_same_frame_again() -> None:
    _, spoiled, faults = pair(duplicate=0.2)
    ids = spoiled.trade_id[spoiled.kind == TRADE]
    assert len(ids) - len(np.unique(ids)) == faults.applied["duplicate"] > 0
    spoiled.encode()


def test_every_row_has_at_most_one_fault() -> None:
    clean, spoiled, faults = pair(**dict.fromkeys(ROW_FAULTS, 0.12))
    same = np.ones(len(clean), bool)
    for name in ("ts_ns", "trade_id", "price", "qty"):
        before, after = getattr(clean, name), getattr(spoiled, name)
        same &= (before == after) | (np.isnan(before) & np.isnan(after))
    same &= clean.symbol[1] == spoiled.symbol[1]
    assert (~same).sum() == sum(faults.applied.values())


@pytest.mark.parametrize(
    ("name", "code"), [("wrong_schema", "WRONG_SCHEMA"), ("flip", "CORRUPT"), ("oversize", "TOO_LARGE")]
)
def test_a_spoiled_frame_is_refused_by_the_decoder(name: str, code: str) -> None:
    faults = SimFaults(FaultSettings(), 7)
    for seq in range(20):
        payload = faults.spoil_frame(SimFeed(CLEAN).frame(seq, 0).encode(), name, seq)
        with pytest.raises(CodecError) as raised:
            RawBatch.decode(payload)
        assert raised.value.code == code
    assert name != "oversize" or len(payload) == OVERSIZE_BYTES


def test_frame_faults_come_as_often_as_asked() -> None:
    faults = SimFaults(FaultSettings(**dict.fromkeys(FRAME_FAULTS, 0.1)), 7)
    drawn = [faults.of_frame(seq) for seq in range(2_000)]
    assert all(120 < drawn.count(name) < 280 for name in FRAME_FAULTS)
    assert drawn == [
        SimFaults(FaultSettings(**dict.fromkeys(FRAME_FAULTS, 0.1)), 7).of_frame(seq) for seq in range(2_000)
    ]
    assert SimFaults(FaultSettings(), 7).of_frame(1) is None
