"""Bars from whole columns of trades: 1m in one pass, 5m 15m 1h 1d by rolling up. The primary form of the bar rules.

The result equals the latest revisions of the streaming bars for the same trades: open and close by (ts, trade id),
trades of equal ts and id in row order, the daily bar by session date, flags joined.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trading.market.batches import Array
from trading.market.intervals import MINUTE_NS, NAMES, SECONDS, starts_of
from trading.market.sessions import Calendar

# Instruments x minutes that one call may span; a day of 46,000 instruments.
MAX_SLOTS = 1 << 26
# Below this many rows a second chunk costs more than it saves.
MIN_CHUNK_ROWS = 100_000

Run = Callable[[Callable[[int], int], Iterable[int]], Iterable[int]]


@dataclass(slots=True, kw_only=True)
class BarColumns:
    """Bars of one interval in order of (instrument, start); prices and volume have the dtype of the input."""

    interval_s: int
    instrument: Array
    session: Array
    start_ns: Array
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    trades: Array
    flags: Array

    def __len__(self) -> int:
        return len(self.start_ns)


def bars_of(
    instrument: Array,
    ts_ns: Array,
    price: Array,
    qty: Array,
    *,
    calendars: Sequence[Calendar],
    trade_id: Array | None = None,
    flags: Array | None = None,
    intervals: Sequence[str] = NAMES,
    chunks: int = 1,
    run: Run = map,
) -> dict[str, BarColumns]:
    """Return the bars of trades by interval name. `instrument` numbers the rows of `calendars`.

    Price and quantity are both int64 or both float64. With `chunks` above 1 the rows are folded in that many parts,
    each by one call of `run`, for example the `map` of a thread pool (the loops let go of the GIL).
    Raises ValueError when the trades span too many instruments x minutes for one call.
    """
    from trading.market import kernels

    if not len(ts_ns):
        return {name: _columns(name, *_empty(price.dtype)) for name in intervals}
    first_minute, last_minute = int(ts_ns.min()) // MINUTE_NS, int(ts_ns.max()) // MINUTE_NS
    minutes = last_minute - first_minute + 1
    places = minutes * len(calendars)
    if places > MAX_SLOTS:
        raise ValueError(f"{len(calendars)} instruments x {minutes} minutes is more than {MAX_SLOTS}: take fewer days")
    chunks = max(1, min(chunks, len(ts_ns) // MIN_CHUNK_ROWS))
    rows = min(places, len(ts_ns))
    slots = np.full((chunks, places), -1, np.int32)
    whens = np.empty((chunks, rows, kernels.WHEN_WIDTH), np.int64)
    whats = np.empty((chunks, rows, kernels.WHAT_WIDTH), price.dtype)
    cuts = [len(ts_ns) * number // chunks for number in range(chunks + 1)]

    def fold(number: int) -> int:
        part = slice(cuts[number], cuts[number + 1])
        given = (ts_ns, instrument, trade_id, price, qty, flags)
        columns = (None if column is None else column[part] for column in given)
        used: int = kernels.scan(*columns, first_minute, minutes, slots[number], whens[number], whats[number])
        return used

    for _ in run(fold, range(chunks)):
        pass
    return _rolled(kernels, slots, whens, whats, (first_minute, minutes), calendars, intervals)


def _rolled(
    kernels: Any,
    slots: Array,
    whens: Array,
    whats: Array,
    span: tuple[int, int],
    calendars: Sequence[Calendar],
    intervals: Sequence[str],
) -> dict[str, BarColumns]:
    most = min(slots.shape[1], whens.shape[0] * whens.shape[1])
    inst, minute = np.empty(most, np.int32), np.empty(most, np.int64)
    when, what = np.empty((most, whens.shape[2]), np.int64), np.empty((most, whats.shape[2]), whats.dtype)
    count = kernels.gather(slots, whens, whats, span[1], inst, minute, when, what)
    inst, when, what = inst[:count], when[:count], what[:count]
    start = (minute[:count] + span[0]) * MINUTE_NS
    session = _sessions(inst, start, calendars)
    result = {}
    for number, name in enumerate(NAMES):
        if number:
            start = _starts(inst, start, session, number, calendars)
            into_when, into_what, to = np.empty_like(when), np.empty_like(what), np.empty(len(inst), np.int64)
            count = kernels.roll_up(inst, start, when, what, into_when, into_what, to)
            when, what, to = into_when[:count], into_what[:count], to[:count]
            inst, start, session = inst[to], start[to], session[to]
        if name in intervals:
            result[name] = _columns(name, inst, session, start, when, what)
    return result


def _sessions(inst: Array, start: Array, calendars: Sequence[Calendar]) -> Array:
    names = [calendar.name for calendar in calendars]
    if len(set(names)) == 1:
        return calendars[0].local_dates(start)
    which = np.array([names.index(name) for name in names])[inst]
    dates = np.empty(len(inst), np.int32)
    for number in np.unique(which).tolist():
        mask = which == number
        dates[mask] = calendars[number].local_dates(start[mask])
    return dates


def _starts(inst: Array, start: Array, session: Array, interval: int, calendars: Sequence[Calendar]) -> Array:
    names = [calendar.name for calendar in calendars]
    if len(set(names)) == 1 or interval != len(NAMES) - 1:
        return starts_of(start, session, interval, calendars[0])
    which = np.array([names.index(name) for name in names])[inst]
    starts = np.empty(len(inst), np.int64)
    for number in np.unique(which).tolist():
        mask = which == number
        starts[mask] = starts_of(start[mask], session[mask], interval, calendars[number])
    return starts


def _empty(dtype: Any) -> tuple[Array, Array, Array, Array, Array]:
    when, what = np.empty((0, 6), np.int64), np.empty((0, 5), dtype)
    return np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.int64), when, what


def _columns(name: str, inst: Array, session: Array, start: Array, when: Array, what: Array) -> BarColumns:
    return BarColumns(
        interval_s=SECONDS[NAMES.index(name)],
        instrument=inst,
        session=session,
        start_ns=start,
        open=what[:, 0],
        high=what[:, 1],
        low=what[:, 2],
        close=what[:, 3],
        volume=what[:, 4],
        trades=when[:, 4],
        flags=when[:, 5].astype(np.uint16),
    )
