"""SMA 10/30 by whole columns and a plain loop in floats: nothing of the engine, for comparison."""

import numpy as np

from trading.backtest.conventions import Name
from trading.backtest.series import BarSeries


def sma_oracle(bars: BarSeries, fills: Name, *, qty: int, scale: int) -> tuple[int, float]:
    """Return fills and final equity from 1,000,000 with 0.1 % commission; bid-ask is one unit of the scale away."""
    close = bars.close
    sums = np.concatenate(([0], np.cumsum(close)))
    last = np.arange(29, len(close))
    ahead = (sums[last + 1] - sums[last - 9]) * 30 - (sums[last + 1] - sums[last - 29]) * 10
    cash, held, count = 1_000_000.0, 0, 0
    for bar, sign in zip(last.tolist(), np.sign(ahead).tolist(), strict=True):
        wanted = qty if sign > 0 else 0 if sign < 0 else held
        if wanted == held or (fills == "next-open" and bar + 1 == len(close)):
            continue
        side = 1 if wanted > held else -1
        price = int(bars.open[bar + 1] if fills == "next-open" else close[bar])
        price += side if fills == "bid-ask" else 0
        cash -= (side + 0.001) * qty * price / 10**scale
        held, count = wanted, count + 1
    return count, cash + held * int(close[-1]) / 10**scale
