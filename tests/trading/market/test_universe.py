import numpy as np

from tests.trading.market.frames import OPEN, TABLE
from trading.instruments import Instrument
from trading.market.shards import shard_of
from trading.market.universe import CACHED_DICTIONARIES, Universe

MIXED = Universe([TABLE["BBB.US"], Instrument(symbol="ABC", venue="US", qty_scale=8), TABLE["AAA.US"]], 4)


def test_rows_are_in_order_of_ids() -> None:
    assert MIXED.ids == ["AAA.US", "ABC.US", "BBB.US"]
    assert MIXED.rows_of(["BBB", "NOPE", "ABC"]).tolist() == [2, Universe.UNKNOWN, 1]
    assert MIXED.shard.tolist() == [shard_of(id_, 4) for id_ in MIXED.ids]
    assert (MIXED.one_price_factor, MIXED.one_qty_factor) == (None, None)
    assert Universe([TABLE["AAA.US"]], 1).one_price_factor == 10_000.0


def test_remembered_dictionaries_are_bounded() -> None:
    for number in range(CACHED_DICTIONARIES + 5):
        MIXED.rows_of([f"X{number}"])
    assert len(MIXED._mappings) <= CACHED_DICTIONARIES


def test_sessions_follow_each_calendar() -> None:
    late = OPEN + 10 * 3600 * 10**9
    sessions = MIXED.sessions(np.array([0, 1, 2]), np.full(3, late))
    assert (sessions - sessions[0]).tolist() == [0, 1, 0]
    assert late in MIXED.same_dates(late)
    for edge in (MIXED.same_dates(late).start - 1, MIXED.same_dates(late).stop):
        assert (MIXED.sessions(np.array([0, 1, 2]), np.full(3, edge)) != sessions).any()
