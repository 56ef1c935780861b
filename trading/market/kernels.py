"""Compiled loops of the batch bars. Import this module late: numba alone takes most of a second.

A partial bar is one row of two matrices: `when` (int64: first ts, first id, last ts, last id, trades, flags) and
`what` (the dtype of the prices: open, high, low, close, volume).
"""

from typing import Any, Final

import numpy as np
from numba import njit

from trading.market.batches import Array

FIRST_TS, FIRST_ID, LAST_TS, LAST_ID, TRADES, FLAGS = range(6)
OPEN, HIGH, LOW, CLOSE, VOLUME = range(5)
WHEN_WIDTH: Final = 6
WHAT_WIDTH: Final = 5
MINUTE_NS: Final = 60_000_000_000
FAR_PAST: Final = -(2**62)


def _scan(
    ts: Array,
    inst: Array,
    ids: Array | None,
    price: Array,
    qty: Array,
    flags: Array | None,
    first_minute: int,
    minutes: int,
    slot: Array,
    when: Array,
    what: Array,
) -> int:
    """Fold rows into partial one-minute bars; `slot[inst * minutes + minute]` is the row of each, -1 for none."""
    instruments = slot.size // minutes
    start = np.full(instruments, FAR_PAST, np.int64)
    current = np.zeros(instruments, np.int64)
    used = 0
    for i in range(ts.size):
        t, s, p = ts[i], inst[i], price[i]
        id_ = 0
        if ids is not None:
            id_ = ids[i]
        since = t - start[s]
        if since < 0 or since >= MINUTE_NS:
            minute = t // MINUTE_NS
            start[s] = minute * MINUTE_NS
            place = s * minutes + minute - first_minute
            row = slot[place]
            if row < 0:
                row = slot[place] = used
                used += 1
                when[row, 0], when[row, 1], when[row, 2], when[row, 3] = t, id_, t, id_
                when[row, 4], when[row, 5] = 0, 0
                what[row, 0], what[row, 1], what[row, 2], what[row, 3] = p, p, p, p
                what[row, 4] = 0
            current[s] = row
        row = current[s]
        if t > when[row, 2] or (t == when[row, 2] and id_ >= when[row, 3]):
            when[row, 2], when[row, 3], what[row, 3] = t, id_, p
        elif t < when[row, 0] or (t == when[row, 0] and id_ < when[row, 1]):
            when[row, 0], when[row, 1], what[row, 0] = t, id_, p
        if p > what[row, 1]:
            what[row, 1] = p
        elif p < what[row, 2]:
            what[row, 2] = p
        what[row, 4] += qty[i]
        when[row, 4] += 1
        if flags is not None:
            when[row, 5] |= flags[i]
    return used


def _join(when: Array, what: Array, at: int, other_when: Array, other_what: Array, row: int) -> None:
    """Add one partial bar to another of the same interval that came before it in arrival."""
    first_ts, last_ts = other_when[row, 0], other_when[row, 2]
    if first_ts < when[at, 0] or (first_ts == when[at, 0] and other_when[row, 1] < when[at, 1]):
        when[at, 0], when[at, 1], what[at, 0] = first_ts, other_when[row, 1], other_what[row, 0]
    if last_ts > when[at, 2] or (last_ts == when[at, 2] and other_when[row, 3] >= when[at, 3]):
        when[at, 2], when[at, 3], what[at, 3] = last_ts, other_when[row, 3], other_what[row, 3]
    what[at, 1] = max(what[at, 1], other_what[row, 1])
    what[at, 2] = min(what[at, 2], other_what[row, 2])
    what[at, 4] += other_what[row, 4]
    when[at, 4] += other_when[row, 4]
    when[at, 5] |= other_when[row, 5]


def _copy(when: Array, what: Array, at: int, other_when: Array, other_what: Array, row: int) -> None:
    """Copy one partial bar. Loops, because assigning a row costs ten times as much."""
    for column in range(WHEN_WIDTH):
        when[at, column] = other_when[row, column]
    for column in range(WHAT_WIDTH):
        what[at, column] = other_what[row, column]


_join_fast: Any = njit(cache=True, nogil=True)(_join)
_copy_fast: Any = njit(cache=True, nogil=True)(_copy)


def _gather(
    slots: Array, whens: Array, whats: Array, minutes: int, inst: Array, minute: Array, when: Array, what: Array
) -> int:
    """Merge the chunks' partial bars in order of (instrument, minute) into the last four; return the count."""
    count = 0
    for place in range(slots.shape[1]):
        found = False
        for chunk in range(slots.shape[0]):
            row = slots[chunk, place]
            if row >= 0 and found:
                _join_fast(when, what, count, whens[chunk], whats[chunk], row)
            elif row >= 0:
                _copy_fast(when, what, count, whens[chunk], whats[chunk], row)
                inst[count] = place // minutes
                minute[count] = place % minutes
                found = True
        count += found
    return count


def _roll_up(inst: Array, start: Array, when: Array, what: Array, into_when: Array, into_what: Array, to: Array) -> int:
    """Join runs of equal (inst, start) of sorted bars; `to` gets the first row of each run. Returns the count."""
    count = 0
    for row in range(inst.size):
        if row and inst[row] == inst[row - 1] and start[row] == start[row - 1]:
            _join_fast(into_when, into_what, count - 1, when, what, row)
        else:
            _copy_fast(into_when, into_what, count, when, what, row)
            to[count] = row
            count += 1
    return count


scan: Any = njit(cache=True, nogil=True)(_scan)
gather: Any = njit(cache=True, nogil=True)(_gather)
roll_up: Any = njit(cache=True, nogil=True)(_roll_up)
