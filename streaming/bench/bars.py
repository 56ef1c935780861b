"""Five-interval bars from whole columns: ours against DuckDB and polars, alternated in one run, results compared.

Run `python -m streaming.bench.bars [--json] [--ticks N]`. Data: trades of 50 symbols over one day, in order of time.
Each round calls the three in turn; the figures are medians of the warm rounds, and the ratio is the better peer's
time over ours. The peers are development dependencies.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from trading.market.bars import BarColumns, bars_of
from trading.market.batches import Array
from trading.market.intervals import LENGTHS_NS, NAMES
from trading.market.sessions import calendar

SYMBOLS = 50
THREADS = 2
ROUNDS = 7
START_NS = 1_704_067_200_000_000_000
DAY_NS = LENGTHS_NS[-1]
COLUMNS = ("open", "high", "low", "close", "volume")
Cells = dict[str, Array]
Ticks = tuple[Array, Array, Array, Array]


def make_ticks(count: int, seed: int = 7) -> Ticks:
    """Return ts (ns), symbol number, price and size of `count` trades over 24 hours."""
    chance = np.random.default_rng(seed)
    # Distinct times, because the peers order by time alone and would settle a tie as they like.
    step = DAY_NS // count
    ts = START_NS + np.arange(count) * step + chance.integers(0, step, count)
    symbol = chance.integers(0, SYMBOLS, count).astype(np.int32)
    moves = chance.normal(0.0, 0.0001, count)
    price = np.empty(count)
    for number in range(SYMBOLS):
        mask = symbol == number
        price[mask] = np.round((20.0 + 5.0 * number) * np.exp(np.cumsum(moves[mask])), 2)
    return ts, symbol, price, chance.integers(1, 500, count).astype(np.float64)


def ours(ticks: Ticks, pool: ThreadPoolExecutor) -> Callable[[], dict[str, BarColumns]]:
    """Return a call of our batch function."""
    ts, symbol, price, size = ticks
    calendars = [calendar("24/7")] * SYMBOLS
    return lambda: bars_of(symbol, ts, price, size, calendars=calendars, chunks=THREADS, run=pool.map)


def duckdb_bars(ticks: Ticks) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Cells]]]:
    """Return a call of DuckDB over a table in its memory, and the reader of its result."""
    import duckdb
    import pyarrow as pa

    connection = duckdb.connect()
    connection.execute(f"set threads = {THREADS}")
    table = pa.table(dict(zip(("ts", "sym", "price", "size"), ticks, strict=True)))
    connection.register("source", table)
    connection.execute("create table t as select * from source")
    names = "arg_min(price, ts) o, max(price) h, min(price) l, arg_max(price, ts) c, sum(size) v"
    rolled = "arg_min(o, ts) o, max(h) h, min(l) l, arg_max(c, ts) c, sum(v) v"

    def run() -> None:
        source, columns = "t", names
        for name, length in zip(NAMES, LENGTHS_NS, strict=True):
            query = f"select sym, ts // {length} * {length} as ts, {columns} from {source} group by 1, 2"  # noqa: S608
            connection.execute(f"create or replace table b{name} as {query}")
            source, columns = f"b{name}", rolled

    def read(_: Any) -> dict[str, Cells]:
        return {
            name: connection.execute(f"select * from b{name} order by sym, ts").fetchnumpy()  # noqa: S608
            for name in NAMES
        }

    return run, read


def polars_bars(ticks: Ticks) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Cells]]]:
    """Return a call of polars over a frame in memory, and the reader of its result."""
    import polars as pl

    frame = pl.DataFrame(dict(zip(("ts", "sym", "price", "size"), ticks, strict=True)))
    frame = frame.with_columns(pl.col("ts").cast(pl.Datetime("ns"))).set_sorted("ts")
    first = [
        pl.col("price").first().alias("o"),
        pl.col("price").max().alias("h"),
        pl.col("price").min().alias("l"),
        pl.col("price").last().alias("c"),
        pl.col("size").sum().alias("v"),
    ]
    rolled = [pl.col("o").first(), pl.col("h").max(), pl.col("l").min(), pl.col("c").last(), pl.col("v").sum()]

    def run() -> list[Any]:
        bars, columns, made = frame, first, []
        for name in NAMES:
            lazy = bars.lazy().group_by("sym", pl.col("ts").dt.truncate(name)).agg(columns)
            bars, columns = lazy.collect().sort("sym", "ts"), rolled
            made.append(bars)
        return made

    def read(made: list[Any]) -> dict[str, Cells]:
        return {
            name: {
                column: bars[column].cast(pl.Int64).to_numpy() if column == "ts" else bars[column].to_numpy()
                for column in bars.columns
            }
            for name, bars in zip(NAMES, made, strict=True)
        }

    return run, read


def assert_equal(mine: dict[str, BarColumns], theirs: dict[str, Cells], peer: str) -> None:
    """Stop with a message when any cell of any bar differs."""
    for name, bars in mine.items():
        other = theirs[name]
        pairs = [("sym", bars.instrument), ("ts", bars.start_ns)]
        pairs += [(column[0], getattr(bars, column)) for column in COLUMNS]
        for column, values in pairs:
            if not np.array_equal(values, other[column]):
                raise SystemExit(f"{peer}: column {column} of the {name} bars differs from ours")


def measure(count: int, rounds: int = ROUNDS) -> dict[str, Any]:
    """Return medians in ms and the ratios to the better peer."""
    try:
        import duckdb  # noqa: F401
        import polars  # noqa: F401
    except ImportError as error:
        raise SystemExit(f"{error.name} is not installed; the peers come with `uv sync` (the dev group)") from None
    ticks = make_ticks(count)
    with ThreadPoolExecutor(THREADS) as pool:
        calls: dict[str, Callable[[], Any]] = {"ours": ours(ticks, pool)}
        readers = {}
        for peer, build in (("duckdb", duckdb_bars), ("polars", polars_bars)):
            calls[peer], readers[peer] = build(ticks)
        mine = calls["ours"]()
        for peer, read in readers.items():
            assert_equal(mine, read(calls[peer]()), peer)
        taken: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(rounds):
            for name, call in calls.items():
                begin = time.perf_counter()
                call()
                taken[name].append((time.perf_counter() - begin) * 1e3)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    ratio = min(medians["duckdb"], medians["polars"]) / medians["ours"]
    return {
        "ticks": count,
        "symbols": SYMBOLS,
        "bars": sum(len(bars) for bars in mine.values()),
        **{f"{name}_ms": round(value, 1) for name, value in medians.items()},
        "ours_ticks_per_s": round(count / medians["ours"] * 1e3),
        "ratio_to_better_peer": round(ratio, 2),
        "bar_ratio": 1.0,
        "passed": ratio >= 1.0,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit 1 below the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--ticks", type=int, default=5_000_000)
    chosen = parser.parse_args(arguments)
    result = measure(max(chosen.ticks, 1_000))
    if chosen.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:24} {value}")
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
