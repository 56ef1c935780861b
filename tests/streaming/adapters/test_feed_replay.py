from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.adapters.feed import FeedError
from streaming.adapters.feed_replay import SECOND_NS, Framer, ReplayFeed
from streaming.adapters.feed_rows import Rows
from streaming.adapters.feed_time import LEAP_NS
from streaming.settings import FeedSettings
from tests.streaming.adapters.frames import batches, payloads
from tests.streaming.adapters.tick_files import trades, write

SETTINGS = FeedSettings(batch_rows=100)


class Wall:
    """A wall clock that stands until somebody waits for it."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        self.at += 1_000.0
        return self.at


def feed(path: Path, speed: float = 0, settings: FeedSettings = SETTINGS) -> ReplayFeed:
    return ReplayFeed(path, settings, speed=speed, venue="US", now=Wall())


def rows_at(times: list[int]) -> Rows:
    count = len(times)
    rows = Rows.empty()
    for name in Rows.__slots__:
        setattr(rows, name, np.zeros(count, getattr(rows, name).dtype))
    rows.ts_ns = np.array(times, np.int64)
    rows.trade_id = np.arange(count, dtype=np.int64)
    return rows


async def test_as_fast_as_possible_frames_are_full(tmp_path: Path) -> None:
    replay = feed(write(trades(950), tmp_path / "day.parquet"))
    frames = await batches(replay)
    assert [len(frame) for frame in frames] == [100] * 9 + [50, 0]
    assert [frame.seq for frame in frames] == list(range(11))
    assert [frame.eof for frame in frames] == [False] * 10 + [True]
    assert frames[0].clock_ns == frames[0].ts_ns.max()
    assert frames[-1].clock_ns == frames[-2].clock_ns
    assert replay.progress() == 1.0


@pytest.mark.parametrize("speed", [0, 20.0])
async def test_a_replay_goes_on_with_the_same_bytes(tmp_path: Path, speed: float) -> None:
    file = write(trades(950), tmp_path / "day.parquet", row_group=70)
    whole = await payloads(feed(file, speed))
    for start in (1, len(whole) // 2, len(whole) - 1):
        assert await payloads(feed(file, speed), start) == whole[start:]


async def test_paced_frames_are_cut_by_time_and_silence_has_a_heartbeat(tmp_path: Path) -> None:
    # One trade each 3 s, at twice the speed: a heartbeat each 2 s of the clock.
    file = write(trades(4, step_us=3_000_000), tmp_path / "day.parquet")
    frames = await batches(feed(file, 2.0))
    start = frames[0].clock_ns
    assert [(len(f), (f.clock_ns - start) // SECOND_NS) for f in frames] == [
        *[(1, 0), (0, 2), (1, 3), (0, 5), (1, 6), (0, 8), (1, 9), (0, 9)]
    ]


def test_another_pace_or_file_is_another_feed(tmp_path: Path) -> None:
    file = write(trades(5), tmp_path / "day.parquet")
    names = {feed(file).name, feed(file, 2.0).name, feed(file, 0, FeedSettings(batch_rows=7)).name}
    write(trades(6), file)
    assert len(names | {feed(file).name}) == 4
    assert feed(file).name == feed(file).name
    assert feed(file).name.startswith("replay-day-")


async def test_rows_that_cannot_be_read_come_once_and_before_their_frame(tmp_path: Path) -> None:
    file = write(trades(250), tmp_path / "day.csv")
    lines = file.read_text().splitlines()
    lines[10] = "broken"
    file.write_text("\n".join(lines))
    replay = feed(file)
    taken = [(len(replay.take_rejects())) async for _ in replay.frames(0)]
    assert taken == [1, 0, 0, 0]
    replay = feed(file)
    assert [len(replay.take_rejects()) async for _ in replay.frames(1)] == [0, 0, 0]


async def test_a_file_of_nothing_but_broken_rows_ends_well(tmp_path: Path) -> None:
    file = write(trades(3), tmp_path / "day.csv")
    file.write_text(file.read_text().splitlines()[0] + "\na\nb\n")
    replay = feed(file)
    rejects = [reject async for _ in replay.frames(0) for reject in replay.take_rejects()]
    assert [reject.row for reject in rejects] == [2, 3]


async def test_a_damaged_file_fails_when_it_is_read_not_when_it_is_named(tmp_path: Path) -> None:
    file = write(trades(300), tmp_path / "day.parquet")
    file.write_bytes(file.read_bytes()[:500])
    replay = feed(file)
    with pytest.raises(FeedError):
        await payloads(replay)


async def test_a_closed_replay_ends_without_eof(tmp_path: Path) -> None:
    replay = feed(write(trades(300), tmp_path / "day.parquet"))
    await replay.close()
    assert await payloads(replay) == []


@pytest.mark.parametrize("speed", [0, 20.0])
async def test_one_wild_time_does_not_move_the_clock(tmp_path: Path, speed: float) -> None:
    file = write(trades(950), tmp_path / "day.csv")
    last = (await batches(feed(file, speed)))[-1].clock_ns
    lines = file.read_text().splitlines()
    lines[450] = lines[450].replace("2013-", "2113-")
    file.write_text("\n".join(lines))
    frames = await batches(feed(file, speed))
    assert sum(map(len, frames)) == 950
    assert max(frame.ts_ns.max(initial=0) for frame in frames) > last + 36_000 * 86_400 * SECOND_NS
    assert [frame.clock_ns for frame in frames][-1] == last


@given(
    steps=st.lists(st.integers(-3, 40) | st.sampled_from([2, -2]).map(LEAP_NS.__mul__), min_size=1, max_size=60),
    cuts=st.lists(st.integers(1, 20), max_size=8),
    batch_rows=st.integers(1, 12),
    linger=st.sampled_from([0, 7, 25, LEAP_NS]),
)
def test_frames_do_not_depend_on_how_the_rows_arrive(
    steps: list[int], cuts: list[int], batch_rows: int, linger: int
) -> None:
    rows = rows_at(np.cumsum(steps).tolist())
    # Without the beats of a silence that would be long in so fine a pace.
    beat = 2 * linger if linger == LEAP_NS or max(map(abs, steps)) < LEAP_NS else 0
    whole = Framer(batch_rows, linger, beat)
    expected = [*whole.add(rows), *whole.rest()]
    parts: list[tuple[Rows, int]] = []
    framer, at = Framer(batch_rows, linger, beat), 0
    for cut in [*cuts, len(rows)]:
        parts.extend(framer.add(rows.take(slice(at, at + cut))))
        at += cut
    parts.extend(framer.rest())
    assert [(frame.trade_id.tolist(), clock) for frame, clock in parts] == [
        (frame.trade_id.tolist(), clock) for frame, clock in expected
    ]
    assert [n for frame, _ in parts for n in frame.trade_id.tolist()] == list(range(len(rows)))
    assert [clock for _, clock in parts] == sorted(clock for _, clock in parts)
    assert all(len(frame) <= batch_rows for frame, _ in parts)
