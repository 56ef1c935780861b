from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.trading.market.frames import NS, OPEN, TABLE, Desk
from tests.trading.market.test_barbook import ticks
from trading.market import bars as module
from trading.market.bars import BarColumns, bars_of
from trading.market.intervals import NAMES, SECONDS
from trading.market.policy import MarketPolicy
from trading.market.sessions import DAY_NS, calendar

IDS = ["AAA.US", "BBB.US"]
CALENDARS = [calendar(TABLE[id_].calendar) for id_ in IDS]


def as_rows(bars: dict[str, BarColumns]) -> dict[tuple[str, int, int], tuple[int, ...]]:
    """Return bars of integer columns in the form of `Desk.latest`."""
    found = {}
    for columns in bars.values():
        for row in range(len(columns)):
            key = (IDS[int(columns.instrument[row])], columns.interval_s, int(columns.start_ns[row]))
            parts = (columns.open, columns.high, columns.low, columns.close, columns.volume, columns.trades)
            found[key] = (*(int(part[row]) for part in parts), int(columns.flags[row]))
    return found


def test_whole_columns_give_the_bars_of_the_stream() -> None:
    desk = Desk(MarketPolicy(jump_ratio=50))
    rows = ticks(3, 900)
    for at in range(0, 900, 100):
        desk.send(*rows[at : at + 100])
    desk.finish(rows[-1].ts)
    shuffled = np.random.default_rng(1).permutation(900)

    def column(name: str) -> np.ndarray:
        return np.array([tick[name] for tick in desk.ticks])[shuffled]

    instrument = np.array([IDS.index(tick["instrument"]) for tick in desk.ticks], np.int32)[shuffled]
    bars = bars_of(
        instrument,
        column("ts_ns"),
        column("price"),
        column("qty"),
        trade_id=column("trade_id"),
        flags=column("flags").astype(np.uint16),
        calendars=CALENDARS,
    )
    assert as_rows(bars) == desk.latest


def test_chunks_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MIN_CHUNK_ROWS", 10)
    chance = np.random.default_rng(5)
    ts = OPEN + np.sort(chance.integers(0, 3 * DAY_NS, 5_000))
    inst = chance.integers(0, 2, 5_000)
    price, qty = chance.integers(100, 200, 5_000), chance.integers(1, 9, 5_000)
    calendars = [calendar("XNYS"), calendar("24/7")]
    one = bars_of(inst, ts, price, qty, calendars=calendars)
    with ThreadPoolExecutor(2) as pool:
        four = bars_of(inst, ts, price, qty, calendars=calendars, chunks=4, run=pool.map)
    assert as_rows(one) == as_rows(four)
    days = one["1d"]
    assert days.start_ns[days.instrument == 1].tolist() == [
        DAY_NS * day for day in sorted(set(ts[inst == 1] // DAY_NS))
    ]


def test_only_the_wanted_intervals_and_no_rows() -> None:
    empty = np.zeros(0, np.int64)
    assert {
        name: len(bars) for name, bars in bars_of(empty, empty, empty, empty, calendars=[]).items()
    } == dict.fromkeys(NAMES, 0)
    one = np.zeros(1, np.int64)
    found = bars_of(one, one + OPEN, one + 5, one + 1, calendars=CALENDARS, intervals=["15m"])
    assert [(name, bars.interval_s) for name, bars in found.items()] == [("15m", SECONDS[2])]


def test_a_span_that_is_too_long_is_refused() -> None:
    ts = np.array([0, 2**62])
    with pytest.raises(ValueError, match="take fewer days"):
        bars_of(np.zeros(2, np.int32), ts, ts, ts, calendars=CALENDARS)


def test_floats_are_kept_as_they_are() -> None:
    ts = OPEN + np.arange(3) * NS
    found = bars_of(
        np.zeros(3, np.int32), ts, np.array([1.5, 2.5, 0.5]), np.array([0.1, 0.2, 0.3]), calendars=CALENDARS
    )
    bar = found["1h"]
    assert (bar.open[0], bar.high[0], bar.low[0], bar.close[0]) == (1.5, 2.5, 0.5, 0.5)
    assert bar.volume.dtype == np.float64
