"""The best quote over exchanges, one side at a time, beside the trades."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from orchestration.backtest_data import DataError, load
from orchestration.backtest_quotes import best_quotes, with_quotes
from tests.orchestration import market_files
from trading.instruments import CATALOGUE
from trading.strategies.rows import Tick

Row = tuple[float, int, float, int, str]


def table(rows: list[Row], **changes: Any) -> dict[str, Any]:
    """Return quotes of SPY a second apart: bid, its quantity, ask, its quantity, exchange."""
    ts = [market_files.START.replace(second=n) for n in range(len(rows))]
    names = ("bid", "bid_qty", "ask", "ask_qty", "exchange")
    columns = {name: [row[n] for row in rows] for n, name in enumerate(names)}
    return {"ts": pa.array(ts, pa.timestamp("us", "UTC")), "symbol": ["SPY"] * len(rows)} | columns | changes


def quotes(tmp_path: Path, rows: list[Row]) -> list[tuple[int | None, int, int | None, int]]:
    recorded = load(market_files.trades(tmp_path / "t.parquet"), None, "1m", CATALOGUE, None)
    return [(tick.bid, tick.bid_qty, tick.ask, tick.ask_qty) for tick in best_quotes(pa.table(table(rows)), recorded)]


def test_the_best_sides_over_exchanges_without_those_that_a_newer_quote_crosses(tmp_path: Path) -> None:
    rows: list[Row] = [
        (99.0, 100, 0.0, 0, "P"),
        (0.0, 0, 101.0, 200, "P"),
        (99.5, 300, 102.0, 100, "Q"),
        (0.0, 0, 100.5, 50, "Q"),
        (100.75, 10, 0.0, 0, "P"),
        (98.0, 10, 0.0, 0, "P"),
        (98.0, 10, 0.0, 0, "P"),
        (0.0, 0, 99.0, 5, "Q"),
    ]
    assert quotes(tmp_path, rows) == [
        (990_000, 100, 1_010_000, 200),
        (995_000, 300, 1_010_000, 200),
        (995_000, 300, 1_005_000, 50),
        (1_007_500, 10, 1_010_000, 200),
        (995_000, 300, 1_010_000, 200),
        (980_000, 10, 990_000, 5),
    ]


def test_quotes_come_before_trades_of_the_same_time(tmp_path: Path) -> None:
    recorded = load(market_files.trades(tmp_path / "t.parquet"), None, "1m", CATALOGUE, None)
    file = market_files.write(tmp_path / "q.parquet", table([(99.0, 100, 101.0, 100, "P")] * 2))
    messages = list(with_quotes(recorded, file))
    first = messages[0]
    assert isinstance(first, Tick)
    assert first.price is None
    assert len(messages) == 1 + len(list(recorded.messages()))
    assert [m.ts_ns for m in messages] == sorted(m.ts_ns for m in messages)


def test_a_file_without_quotes_of_the_symbol_is_refused(tmp_path: Path) -> None:
    recorded = load(market_files.trades(tmp_path / "t.parquet"), None, "1m", CATALOGUE, None)
    other = market_files.write(tmp_path / "q.parquet", table([(99.0, 1, 101.0, 1, "P")], symbol=["IBM"]))
    for file, code in ((other, "SYMBOL_UNKNOWN"), (str(tmp_path / "t.parquet"), "DATA_COLUMNS_MISSING")):
        with pytest.raises(DataError) as caught:
            with_quotes(recorded, file)
        assert caught.value.code == code
