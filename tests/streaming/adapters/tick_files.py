"""Small tick files for tests of the replay."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

SECOND_US = 1_000_000
START_US = 1_381_132_800 * SECOND_US


def trades(rows: int, first: int = 0, step_us: int = SECOND_US) -> pa.Table:
    """Return trades of SPY and IBM in turn, one each `step_us`, numbered from `first`."""
    numbers = range(first, first + rows)
    return pa.table(
        {
            "trade_id": pa.array(numbers, pa.uint32()),
            "ts": pa.array([START_US + n * step_us for n in numbers], pa.timestamp("us", "UTC")),
            "symbol": pa.array(["SPY" if n % 2 else "IBM" for n in numbers]),
            "price": pa.array([100 + n / 100 for n in numbers], pa.float64()),
            "qty": pa.array([100.0 + n for n in numbers], pa.float64()),
            "exchange": pa.array(["P"] * rows),
            "condition": pa.array([f"c{n % 3}" for n in numbers]),
            "suspicious": pa.array([n % 5 == 0 for n in numbers]),
        }
    )


def quotes(rows: int, offset_us: int = SECOND_US // 2) -> pa.Table:
    """Return quotes of IBM, one a second; one side is 0 where only the other changed."""
    numbers = range(rows)
    return pa.table(
        {
            "ts": pa.array([START_US + offset_us + n * SECOND_US for n in numbers], pa.timestamp("us", "UTC")),
            "symbol": pa.array(["IBM"] * rows),
            "bid": pa.array([0.0 if n % 2 else 99.0 for n in numbers]),
            "bid_qty": pa.array([0 if n % 2 else 10 for n in numbers], pa.int64()),
            "ask": pa.array([101.0 if n % 2 else 0.0 for n in numbers]),
            "ask_qty": pa.array([20 if n % 2 else 0 for n in numbers], pa.int64()),
            "exchange": pa.array(["Q"] * rows),
            "suspicious": pa.array([False] * rows),
        }
    )


def write(table: pa.Table, path: Path, row_group: int = 1_000) -> Path:
    """Write a table by the suffix of the path and return it."""
    if path.suffix == ".csv":
        pa.csv.write_csv(table, path)
    else:
        pq.write_table(table, path, row_group_size=row_group)
    return path
