"""Crossover of two simple moving averages of closes: long above, flat (or short) below. Exact integers.

sum_fast / fast > sum_slow / slow is decided as sum_fast * slow > sum_slow * fast, so no rounding ever trades.
"""

import msgspec

from trading.amounts import parse_exact
from trading.events import OrderFilled
from trading.strategies.context import Context
from trading.strategies.rows import Bar, Tick


class SmaParameters(msgspec.Struct, frozen=True, kw_only=True):
    """What to trade, the two lengths in bars, and the size of a position in whole units."""

    instrument: str
    fast: int = 10
    slow: int = 30
    qty: str = "1"
    short: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.fast < self.slow:
            raise ValueError(f"fast ({self.fast}) must be at least 1 and below slow ({self.slow})")


class SmaCross:
    """Holds `qty` while the fast average is above the slow one."""

    __slots__ = ("_closes", "_fast", "_fast_sum", "_name", "_place", "_qty", "_seen", "_slow", "_slow_sum",
                 "parameters")  # fmt: skip

    def __init__(self, parameters: SmaParameters) -> None:
        self.parameters = parameters
        self._name = parameters.instrument
        self._fast, self._slow = parameters.fast, parameters.slow
        self._closes = [0] * parameters.slow
        self._place = self._seen = self._fast_sum = self._slow_sum = 0
        self._qty = 0

    def on_start(self, context: Context) -> None:
        """Read the size in the instrument's scale."""
        self._qty = parse_exact(self.parameters.qty, context.instruments[self._name].qty_scale)

    def on_bar(self, context: Context, bar: Bar) -> None:
        """Move both sums by one close and bring the position to the side that they show."""
        if bar.instrument != self._name:
            return
        closes, place, slow = self._closes, self._place, self._slow
        close = bar.close
        # A negative index reaches the close of `fast` bars ago in the ring.
        self._fast_sum = fast_sum = self._fast_sum + close - closes[place - self._fast]
        self._slow_sum = slow_sum = self._slow_sum + close - closes[place]
        closes[place] = close
        place += 1
        self._place = 0 if place == slow else place
        if self._seen < slow - 1:
            self._seen += 1
            return
        ahead = fast_sum * slow - slow_sum * self._fast
        if ahead > 0:
            if context.net.get(self._name, 0) <= 0:
                self._go(context, self._qty)
        elif ahead < 0 and context.net.get(self._name, 0) >= (0 if self.parameters.short else 1):
            self._go(context, -self._qty if self.parameters.short else 0)

    def on_tick(self, context: Context, tick: Tick) -> None:
        """Pass over ticks."""

    def on_fill(self, context: Context, fill: OrderFilled) -> None:
        """Pass over fills: the context counts them."""

    def _go(self, context: Context, target: int) -> None:
        context.submit(self._name, target - context.net.get(self._name, 0))
