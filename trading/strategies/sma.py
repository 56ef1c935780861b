"""Crossover of two simple moving averages of closes: long above, flat (or short) below. Exact integers.

sum_fast / fast > sum_slow / slow is decided as sum_fast * slow > sum_slow * fast, so no rounding ever trades.
"""

import msgspec

from trading.amounts import parse_positive
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

    __slots__ = ("_ahead", "_closes", "_fast", "_least", "_name", "_place", "_qty", "_seen", "_slow", "parameters")

    def __init__(self, parameters: SmaParameters) -> None:
        self.parameters = parameters
        self._name = parameters.instrument
        self._fast, self._slow = parameters.fast, parameters.slow
        self._closes = [0] * parameters.slow
        # sum_fast * slow - sum_slow * fast, kept up to date as one number.
        self._ahead = self._place = self._seen = self._qty = 0
        # The smallest position that a fast average below the slow one brings down.
        self._least = 0 if parameters.short else 1

    def on_start(self, context: Context) -> None:
        """Read the size in the instrument's scale."""
        self._qty = parse_positive(self.parameters.qty, context.instruments[self._name].qty_scale)

    def on_bar(self, context: Context, bar: Bar) -> None:
        """Move both sums by one close and bring the position to the side that they show."""
        if bar.instrument != self._name:
            return
        closes, place, fast, slow, close = self._closes, self._place, self._fast, self._slow, bar.close
        # A negative index reaches the close of `fast` bars ago in the ring.
        ahead = self._ahead + close * (slow - fast) - closes[place - fast] * slow + closes[place] * fast
        self._ahead = ahead
        closes[place] = close
        place += 1
        self._place = 0 if place == slow else place
        if self._seen < slow - 1:
            self._seen += 1
        elif ahead > 0:
            if context.net[self._name] <= 0:
                self._go(context, self._qty)
        elif ahead < 0 and context.net[self._name] >= self._least:
            self._go(context, -self._qty if self.parameters.short else 0)

    def on_tick(self, context: Context, tick: Tick) -> None:
        """Pass over ticks."""

    def on_fill(self, context: Context, fill: OrderFilled) -> None:
        """Pass over fills: the context counts them."""

    def _go(self, context: Context, target: int) -> None:
        context.submit(self._name, target - context.net[self._name])
