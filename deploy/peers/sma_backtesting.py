# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["backtesting==0.6.6", "pandas", "numpy"]
# ///
"""The peer of `trade bench backtest`: backtesting.py, SMA 10/30 on the bench's bars.

Run `uv run deploy/peers/sma_backtesting.py [BARS [next-open|same-close]]`; uv keeps what it installs in its own cache.
The last line is JSON.
"""

import json
import sys
import time
import warnings

import backtesting
import backtesting.backtesting
import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy

SCALE = 1e6


def bars(count: int) -> pd.DataFrame:
    """Return the bars of `streaming.bench.backtest`; the bench compares fills and equity."""
    chance = np.random.default_rng(7)
    moves = chance.normal(0.0, 0.0004, count)
    wicks = np.abs(chance.normal(0.0, 0.0002, (2, count)))
    close = np.rint(100.0 * np.exp(np.cumsum(moves)) * SCALE)
    opens = np.empty_like(close)
    opens[0] = 100 * SCALE
    opens[1:] = np.rint(close[:-1] * (1.0 + chance.normal(0.0, 0.00005, count - 1)))
    high = np.rint(np.maximum(opens, close) * (1.0 + wicks[0]))
    low = np.rint(np.minimum(opens, close) * (1.0 - wicks[1]))
    index = pd.date_range("2024-01-01T00:01", periods=count, freq="min")
    columns = {"Open": opens, "High": high, "Low": low, "Close": close}
    return pd.DataFrame({name: column / SCALE for name, column in columns.items()}, index=index)


def average(closes: object, length: int) -> np.ndarray:
    """Return the moving average."""
    return pd.Series(closes).rolling(length).mean().to_numpy()


class Cross(Strategy):
    """Holds ten while the fast average is above the slow one."""

    def init(self) -> None:
        self.fast = self.I(average, self.data.Close, 10)
        self.slow = self.I(average, self.data.Close, 30)

    def next(self) -> None:
        if self.fast[-1] > self.slow[-1]:
            if not self.position:
                self.buy(size=10)
        elif self.fast[-1] < self.slow[-1] and self.position:
            self.position.close()


def main(count: int, fills: str) -> None:
    """Run and print."""
    warnings.filterwarnings("ignore")
    # No progress bar inside the time that is measured.
    backtesting.backtesting._tqdm = lambda rows, **_: rows
    run = Backtest(bars(count), Cross, cash=1_000_000, commission=0.001, trade_on_close=fills == "same-close")
    begun, begun_cpu = time.perf_counter(), time.process_time()
    found = run.run()
    run_s, cpu_s = time.perf_counter() - begun, time.process_time() - begun_cpu
    figures = {
        "peer": f"backtesting.py {backtesting.__version__}",
        "bars_per_s": count / run_s,
        "cpu_s": cpu_s,
        "fills": 2 * len(found["_trades"]) + len(found["_strategy"].trades),
        "final_equity": round(float(found["Equity Final [$]"]), 4),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, sys.argv[2] if len(sys.argv) > 2 else "next-open")
