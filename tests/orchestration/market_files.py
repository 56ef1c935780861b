"""Small Parquet files of bars and trades for tests of the backtest command."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

START = datetime(2024, 3, 4, 14, 30, tzinfo=UTC)
# A triangle: averages cross again and again.
WAVE = [100.0 + abs(n % 40 - 20) for n in range(200)]


def write(path: Path, columns: dict[str, Any]) -> str:
    """Write a Parquet file; return its name."""
    pq.write_table(pa.table(columns), path)
    return str(path)


def bars(path: Path, symbols: tuple[str, ...] = ("BTC-PERP",)) -> str:
    """Write one-minute bars of each symbol."""
    rows = [(symbol, START + timedelta(minutes=n), price) for symbol in symbols for n, price in enumerate(WAVE)]
    price = [row[2] for row in rows]
    return write(
        path,
        {
            "ts": pa.array([row[1] for row in rows], pa.timestamp("us", "UTC")),
            "symbol": [row[0] for row in rows],
            "open": price,
            "high": [p + 0.5 for p in price],
            "low": [p - 0.5 for p in price],
            "close": price,
            "volume": [1_000.0] * len(rows),
        },
    )


def daily(path: Path) -> str:
    """Write daily bars of SPY over a holiday, with a split."""
    price = [100.0, 101.0, 102.0, 51.0, 52.0]
    dates = [date(2023, 12, 28), date(2023, 12, 29), date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4)]
    columns = {"date": dates, "symbol": ["SPY"] * 5, "volume": [10_000] * 5}
    return write(path, columns | dict.fromkeys(("open", "high", "low", "close"), price))


def trades(path: Path) -> str:
    """Write trades of SPY, four a minute, out of order, some of them of no use."""
    ts = [START + timedelta(seconds=15 * n) for n in range(4 * len(WAVE))]
    price = [WAVE[n // 4] for n in range(len(ts))]
    columns: dict[str, Any] = {
        "ts": pa.array([*ts, START, START][::-1], pa.timestamp("us", "UTC")),
        "symbol": ["SPY"] * (len(ts) + 2),
        "price": [*price, 900.0, 0.0][::-1],
        "qty": [100.0] * (len(ts) + 2),
        "trade_id": list(range(len(ts) + 2))[::-1],
        "suspicious": [*([False] * len(ts)), True, False][::-1],
    }
    return write(path, columns)
