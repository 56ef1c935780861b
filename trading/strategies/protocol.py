"""The form of a strategy: it is told what happened and asks for orders. It has no clock and does no input or output.

The same object runs live and in a backtest. What it decides may depend on the messages alone.
"""

from typing import Protocol

from trading.events import OrderFilled
from trading.strategies.context import Context
from trading.strategies.rows import Bar, Tick


class Strategy(Protocol):
    """Four calls, in the order of the messages."""

    def on_start(self, context: Context) -> None:
        """Take the first look, before any message."""
        ...

    def on_bar(self, context: Context, bar: Bar) -> None:
        """Take a closed bar."""
        ...

    def on_tick(self, context: Context, tick: Tick) -> None:
        """Take a trade or a quote."""
        ...

    def on_fill(self, context: Context, fill: OrderFilled) -> None:
        """Take an execution of an own order; the context counts it already."""
        ...
