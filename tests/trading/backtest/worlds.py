"""Small recorded markets for tests of the backtest, and a strategy that does what it is told."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from trading.backtest.series import BarSeries
from trading.events import OrderFilled
from trading.instruments import Instrument
from trading.strategies.context import Context
from trading.strategies.rows import Bar, Tick

MINUTE_NS = 60 * 10**9
T0 = 1_704_067_200 * 10**9
XYZ = Instrument(symbol="XYZ", venue="SIM", price_scale=2)
Row = tuple[int, int, int, int, int]
Act = Callable[[Context], object]


def series(rows: Sequence[Row], instrument: Instrument = XYZ, gap_ns: int = 0) -> BarSeries:
    """Return bars of (open, high, low, close, volume), one a minute, with `gap_ns` between them."""
    table = np.array(rows, np.int64).reshape(-1, 5)
    start = T0 + np.arange(len(table), dtype=np.int64) * (MINUTE_NS + gap_ns)
    columns = [np.ascontiguousarray(column) for column in table.T]
    return BarSeries(
        instrument=instrument.id,
        start_ns=start,
        ts_ns=start + MINUTE_NS,
        open=columns[0],
        high=columns[1],
        low=columns[2],
        close=columns[3],
        volume=columns[4],
    )


def flat(prices: Sequence[int], volume: int = 1_000) -> list[Row]:
    """Return bars that stand at one price each."""
    return [(price, price, price, price, volume) for price in prices]


class Script:
    """Does at the n-th bar (or tick) what `acts` says, at a fill what `at_fill` says, and notes what it is told."""

    def __init__(self, acts: Mapping[int, Act], at_fill: Act | None = None) -> None:
        self.acts = acts
        self.at_fill = at_fill
        self.bars: list[Bar] = []
        self.ticks: list[Tick] = []
        self.fills: list[OrderFilled] = []
        self.net: list[int] = []
        self.started_ns = -1

    def on_start(self, context: Context) -> None:
        self.started_ns = context.now_ns

    def on_bar(self, context: Context, bar: Bar) -> None:
        self._act(context, len(self.bars))
        self.bars.append(bar)

    def on_tick(self, context: Context, tick: Tick) -> None:
        self._act(context, len(self.ticks))
        self.ticks.append(tick)

    def on_fill(self, context: Context, fill: OrderFilled) -> None:
        self.fills.append(fill)
        self.net.append(context.net[fill.instrument])
        if self.at_fill is not None:
            self.at_fill(context)

    def _act(self, context: Context, n: int) -> None:
        act = self.acts.get(n)
        if act is not None:
            act(context)


def order(qty: int, limit: int | None = None, stop: int | None = None, tif: str = "gtc") -> Act:
    """Return an act that orders XYZ."""
    return lambda context: context.submit(XYZ.id, qty, limit=limit, stop=stop, tif=tif)  # type: ignore[arg-type]  # a test's text
