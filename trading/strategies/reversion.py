"""Mean reversion: buy what fell unusually far below its moving average, sell when it is back. Exact integers.

With n closes, sum s and sum of squares q, the z-score of a close c is (n c - s) / sqrt(n q - s^2); its square is
compared, so that no root and no rounding ever trades.
"""

from collections import deque

import msgspec

from trading.amounts import parse_positive
from trading.events import OrderFilled
from trading.strategies.context import Context
from trading.strategies.rows import Bar, Tick

HUNDREDTHS_SQUARED = 10_000


class ReversionParameters(msgspec.Struct, frozen=True, kw_only=True):
    """What to trade, the window in bars, the entry in hundredths of a standard deviation, the size in whole units."""

    instrument: str
    window: int = 20
    entry_z_hundredths: int = 200
    qty: str = "1"
    short: bool = False

    def __post_init__(self) -> None:
        if self.window < 2 or self.entry_z_hundredths < 1:
            raise ValueError("window must be at least 2 and entry_z_hundredths at least 1")


class MeanReversion:
    """Enters beyond the entry and leaves at the average."""

    __slots__ = ("_closes", "_name", "_qty", "_squares", "_sum", "parameters")

    def __init__(self, parameters: ReversionParameters) -> None:
        self.parameters = parameters
        self._name = parameters.instrument
        self._closes: deque[int] = deque()
        self._sum = self._squares = self._qty = 0

    def on_start(self, context: Context) -> None:
        """Read the size in the instrument's scale."""
        self._qty = parse_positive(self.parameters.qty, context.instruments[self._name].qty_scale)

    def on_bar(self, context: Context, bar: Bar) -> None:
        """Move the window by one close and enter or leave."""
        if bar.instrument != self._name:
            return
        window, close = self.parameters.window, bar.close
        self._closes.append(close)
        self._sum += close
        self._squares += close * close
        if len(self._closes) <= window:
            if len(self._closes) < window:
                return
        else:
            oldest = self._closes.popleft()
            self._sum -= oldest
            self._squares -= oldest * oldest
        away = window * close - self._sum
        net = context.net[self._name]
        if net:
            # Back at the average or beyond it: what was expected has happened.
            if away * net >= 0:
                context.submit(self._name, -net)
            return
        spread = window * self._squares - self._sum * self._sum
        if away * away * HUNDREDTHS_SQUARED > self.parameters.entry_z_hundredths**2 * spread:
            if away < 0:
                context.submit(self._name, self._qty)
            elif self.parameters.short:
                context.submit(self._name, -self._qty)

    def on_tick(self, context: Context, tick: Tick) -> None:
        """Pass over ticks."""

    def on_fill(self, context: Context, fill: OrderFilled) -> None:
        """Pass over fills: the context counts them."""
