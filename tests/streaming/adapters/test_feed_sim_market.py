import numpy as np
import pytest

from streaming.adapters.feed_sim_market import IDS_PER_FRAME, SimMarket
from trading.instruments import CATALOGUE
from trading.market.batches import ABSENT, MAX_ROWS, QUOTE, Array

SIM = [instrument for instrument in CATALOGUE if instrument.venue == "SIM"]
TIMES: Array = np.arange(500, dtype=np.int64)


def test_a_price_path_moves_little_in_a_second_and_stays_sane_for_months() -> None:
    market = SimMarket(SIM, 7)
    second = np.array([market.mids(t + 1.0) / market.mids(float(t)) for t in range(0, 100_000, 997)])
    assert (np.abs(np.log(second)) < 0.01).all()
    assert np.abs(np.log(second)).max() > 0
    months = np.array([market.mids(t * 86_400.0) / market.mids(0.0) for t in range(120)])
    assert (months > 0.5).all()
    assert (months < 2.0).all()


def test_a_path_has_no_jump_between_frames() -> None:
    market = SimMarket(SIM, 7)
    assert np.allclose(market.mids(99.999999), market.mids(100.000001), rtol=1e-6)


def test_prices_and_sizes_are_whole_in_the_instruments_scale() -> None:
    frame = SimMarket(SIM, 7).batch(3, TIMES, (1.0, 2.0), "sim")
    scale = np.array([10.0**i.price_scale / i.tick for i in SIM])[frame.symbol[1]]
    quote = frame.kind == QUOTE
    ticks = frame.bid[quote] * scale[quote]
    assert np.allclose(ticks, np.round(ticks), atol=1e-4)
    assert (frame.bid_qty[quote] > 0).all()


def test_no_two_frames_share_a_trade_id() -> None:
    assert IDS_PER_FRAME >= MAX_ROWS
    market = SimMarket(SIM, 7)
    first, second = (market.batch(seq, TIMES, (0.0, 1.0), "sim").trade_id for seq in (4, 5))
    assert not set(first[first != ABSENT]) & set(second[second != ABSENT])


def test_a_seed_is_another_market() -> None:
    assert (SimMarket(SIM, 7).mids(50.0) != SimMarket(SIM, 8).mids(50.0)).all()


def test_a_frame_is_the_same_whichever_came_before() -> None:
    market, spans = SimMarket(SIM, 7), [(0.0, 0.1), (0.1, 0.2), (5.0, 5.1), (0.1, 0.2), (0.2, 0.1)]
    for seq, span in enumerate(spans):
        fresh = SimMarket(SIM, 7).batch(seq, TIMES, span, "sim")
        assert market.batch(seq, TIMES, span, "sim").encode() == fresh.encode()


def test_the_prices_of_a_moment_are_computed_once_for_frames_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    market, asked = SimMarket(SIM, 7), list[float]()
    mids = SimMarket.mids

    def counted(self: SimMarket, elapsed_s: float) -> Array:
        asked.append(elapsed_s)
        return mids(self, elapsed_s)

    monkeypatch.setattr(SimMarket, "mids", counted)
    for seq in range(4):
        market.batch(seq, TIMES, (seq * 0.1, (seq + 1) * 0.1), "sim")
    assert asked == [0.1, 0.2, 3 * 0.1, 0.4]
