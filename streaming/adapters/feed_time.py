"""The clock of a replay: the newest event time so far, as far as the rows behind it bear it out.

One row with a wild time must not move the clock: everything behind it would be late or refused, and a paced replay
would wait for it.
"""

import numpy as np

from trading.market.batches import Array

# Less is disorder, as between the venues of one tape; ticks behind it are late, none is lost.
LEAP_NS = 60_000_000_000
WITNESSES = 5
# Far enough, and differences of two still fit 64 bits.
LARGEST_NS = 2**62


def event_clock(ts_ns: Array, newest_ns: int) -> Array:
    """Return the clock at each row, from `newest_ns` on.

    A time over a minute ahead of the median of itself and the four rows behind it counts as the earliest of them.
    """
    ts_ns = np.clip(ts_ns, -LARGEST_NS, LARGEST_NS)
    clock = np.maximum.accumulate(ts_ns)
    if len(ts_ns) and (clock - ts_ns).max() > LEAP_NS:
        behind = np.concatenate([ts_ns, np.full(WITNESSES - 1, ts_ns[-1])])
        windows = np.lib.stride_tricks.sliding_window_view(behind, WITNESSES)
        median = np.partition(windows, WITNESSES // 2, axis=1)[:, WITNESSES // 2]
        clock = np.maximum.accumulate(np.where(ts_ns - median > LEAP_NS, windows.min(axis=1), ts_ns))
    return np.maximum(clock, newest_ns)
