import asyncio
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.adapters.feed_sim import SECOND_NS, VIRTUAL_START_NS, Schedule, SimFeed
from streaming.settings import FaultSettings, FeedSettings
from tests.streaming.adapters.frames import batches, payloads
from trading.market.batches import ABSENT, MAX_ROWS, TRADE, RawBatch

FAST = FeedSettings(rate=0, ticks=5_000, batch_rows=200)


@given(
    rate=st.floats(0.1, 1e6),
    linger_s=st.floats(1e-4, 1.0),
    batch_rows=st.integers(1, MAX_ROWS),
    burst=st.floats(1, 10),
)
def test_a_schedule_loses_no_tick_and_keeps_the_frame_bound(
    rate: float, linger_s: float, batch_rows: int, burst: float
) -> None:
    schedule = Schedule(rate, linger_s, batch_rows, burst)
    before = [schedule.ticks_before(seq) for seq in range(300)]
    assert before[0] == 0
    assert all(0 <= later - earlier <= max(2, batch_rows) for earlier, later in pairwise(before))
    assert all(schedule.rows(seq) <= batch_rows for seq in range(300))


def test_a_burst_raises_the_rate_and_keeps_the_mean() -> None:
    schedule = Schedule(1_000, 0.01, MAX_ROWS, 4.0)
    frames = round(10 / schedule.frame_s)
    counts = [schedule.rows(seq) for seq in range(frames)]
    assert sum(counts) == 10_000
    assert max(counts) == pytest.approx(4 * 1_000 * schedule.frame_s, abs=1)
    assert sum(counts[-frames // 20 :]) == pytest.approx(2_000, abs=50)


async def test_two_runs_in_virtual_time_are_the_same_bytes() -> None:
    first = await payloads(SimFeed(FAST))
    assert await payloads(SimFeed(FAST)) == first
    assert await payloads(SimFeed(FAST), 7) == first[7:]
    assert await payloads(SimFeed(FAST.model_copy(update={"seed": 8}))) != first


async def test_a_limited_run_ends_with_eof_and_has_every_tick() -> None:
    feed = SimFeed(FAST)
    frames = await batches(feed)
    assert [frame.seq for frame in frames] == list(range(len(frames)))
    assert [frame.eof for frame in frames] == [False] * (len(frames) - 1) + [True]
    assert sum(len(frame) for frame in frames) == 5_000
    assert feed.progress() == 1.0
    assert frames[0].ts_ns[0] >= VIRTUAL_START_NS
    clocks = [frame.clock_ns for frame in frames]
    assert clocks == sorted(clocks)
    assert all((frame.ts_ns <= frame.clock_ns).all() for frame in frames)


async def test_rows_are_trades_and_quotes_of_sane_prices() -> None:
    frames = (await batches(SimFeed(FAST)))[:-1]
    seen = {symbol for frame in frames for symbol in np.array(frame.symbol[0])[frame.symbol[1]]}
    assert len(seen) >= 6
    for frame in frames:
        trade = frame.kind == TRADE
        assert (frame.price[trade] > 0).all()
        assert (frame.qty[trade] > 0).all()
        assert (frame.bid[~trade] < frame.ask[~trade]).all()
        assert (frame.trade_id[~trade] == ABSENT).all()
        assert np.isnan(frame.price[~trade]).all()
    ids = np.concatenate([frame.trade_id[frame.kind == TRADE] for frame in frames])
    assert len(np.unique(ids)) == len(ids)


async def test_paced_by_the_wall_the_times_are_the_planned_ones() -> None:
    now = [1_000 * SECOND_NS]

    def clock() -> int:
        now[0] += SECOND_NS
        return now[0]

    feed = SimFeed(FeedSettings(rate=1_000, burst=1, linger_ms=10), now_ns=clock)
    frames = await batches(feed, 40, 3)
    assert feed.name == "sim"
    assert feed.progress() is None
    assert [frame.seq for frame in frames] == [40, 41, 42]
    start_ns = 1_001 * SECOND_NS
    assert [frame.clock_ns for frame in frames] == [start_ns + n * SECOND_NS // 100 for n in (1, 2, 3)]
    assert all(frame.clock_ns - SECOND_NS // 100 <= frame.ts_ns.min() for frame in frames)
    assert all(frame.recv_ns > frame.clock_ns for frame in frames)


async def test_a_frame_is_made_halfway_through_its_time_and_not_before_the_last_one_is_on_its_way() -> None:
    made: list[int] = []

    class Noting(SimFeed):
        def frame(self, seq: int, start_ns: int) -> RawBatch:
            made.append(seq)
            return super().frame(seq, start_ns)

    feed = Noting(FeedSettings(rate=1_000, burst=1, linger_ms=10), now_ns=lambda: 1_000 * SECOND_NS)
    frames = feed.frames(0)
    await anext(frames)
    later = asyncio.ensure_future(anext(frames))
    for _ in range(5):
        await asyncio.sleep(0)
    assert made == [0]
    await later
    assert made == [0, 1]


async def test_a_closed_feed_ends_without_eof() -> None:
    feed = SimFeed(FeedSettings(rate=1))
    await feed.close()
    assert await payloads(feed) == []


async def test_a_gap_skips_a_number_and_a_resent_frame_comes_twice() -> None:
    feed = SimFeed(FAST.model_copy(update={"faults": FaultSettings(gap=0.2, resend=0.2)}))
    frames = await payloads(feed)
    seqs = [RawBatch.decode(payload).seq for payload in frames]
    lost = set(range(seqs[-1])) - set(seqs)
    twice = [payload for payload, after in pairwise(frames) if payload == after]
    assert len(lost) == feed.faults.applied["gap"] > 0
    assert len(twice) == feed.faults.applied["resend"] > 0
    assert feed.take_rejects() == ()
