"""Recorded bars of one instrument as columns of integers in its scale, and as light rows for a strategy."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat, starmap

import numpy as np

from trading.market.batches import Array
from trading.strategies.rows import Bar

# Rows are made in parts, so that a long history never stands in memory as objects.
PART_ROWS = 10_000


class BacktestError(ValueError):
    """Data or settings that no run can be made of. `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class BarSeries:
    """Bars in order of time. `start_ns` and `ts_ns` (the end) are UTC; the rest is int64 in the scale."""

    instrument: str
    start_ns: Array
    ts_ns: Array
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array

    def __post_init__(self) -> None:
        columns = (self.start_ns, self.ts_ns, self.open, self.high, self.low, self.close, self.volume)
        if len({len(column) for column in columns}) != 1 or any(column.dtype != np.int64 for column in columns):
            raise BacktestError("BARS_MALFORMED", "the columns of a series are int64 and of one length")
        if not len(self.ts_ns):
            raise BacktestError("BARS_MISSING", f"no bars of {self.instrument}: nothing to run on")
        if (self.ts_ns <= self.start_ns).any() or (self.start_ns[1:] < self.ts_ns[:-1]).any():
            raise BacktestError("BARS_NOT_IN_ORDER", f"bars of {self.instrument} overlap or go back in time")
        lowest = np.minimum(np.minimum(self.open, self.close), self.low)
        highest = np.maximum(np.maximum(self.open, self.close), self.high)
        if (self.low <= 0).any() or (lowest < self.low).any() or (highest > self.high).any():
            raise BacktestError("BARS_MALFORMED", f"bars of {self.instrument} are not low <= open, close <= high")

    def __len__(self) -> int:
        return len(self.ts_ns)

    def rows(self) -> Iterator[Bar]:
        """Return the bars one by one."""
        return chain.from_iterable(self._parts())

    def _parts(self) -> Iterator[Iterator[Bar]]:
        columns = (self.start_ns, self.ts_ns, self.open, self.high, self.low, self.close, self.volume)
        for first in range(0, len(self), PART_ROWS):
            part = [column[first : first + PART_ROWS].tolist() for column in columns]
            yield starmap(Bar, zip(repeat(self.instrument), *part, strict=False))
