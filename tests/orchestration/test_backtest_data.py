"""Recorded data: bars, trades and the lake become one instrument's exact columns; what cannot be used has a code."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from orchestration.backtest_data import DataError, load
from orchestration.lake_io import LakeIO
from streaming.adapters.lake import Lake
from tests.orchestration import lakes, market_files
from trading.instruments import CATALOGUE
from trading.market.sessions import calendar
from trading.schemas import CLEAN_BARS_V1
from trading.strategies.rows import Bar, Tick

MINUTE_NS = 60 * 10**9


def test_bars_of_a_known_symbol_are_in_its_scale(tmp_path: Path) -> None:
    found = load(market_files.bars(tmp_path / "b.parquet"), None, "1m", CATALOGUE, None)
    assert found.instrument.id == "BTC-PERP.PERP"
    assert found.bars.close.tolist()[:2] == [1_200, 1_190]
    assert (found.bars.high - found.bars.low).tolist()[0] == 10
    assert set((found.bars.ts_ns - found.bars.start_ns).tolist()) == {MINUTE_NS}
    assert (found.trades, found.warnings) == (None, ())


def test_an_unknown_symbol_gets_an_instrument_of_its_own(tmp_path: Path) -> None:
    found = load(market_files.bars(tmp_path / "b.parquet", ("NEW",)), None, "1m", CATALOGUE, None)
    assert (found.instrument.id, found.instrument.price_scale) == ("NEW.FILE", 6)


def test_daily_bars_lie_in_their_sessions_and_a_split_is_told(tmp_path: Path) -> None:
    found = load(market_files.daily(tmp_path / "d.parquet"), None, "1m", CATALOGUE, None)
    sessions = calendar("XNYS")
    assert all(sessions.is_open(start) for start in found.bars.start_ns.tolist())
    assert not any(sessions.is_open(end) for end in found.bars.ts_ns.tolist())
    (warning,) = found.warnings
    assert "from 102 to 51 on 2024-01-03" in warning


def test_trades_become_bars_and_messages_in_the_order_of_knowledge(tmp_path: Path) -> None:
    found = load(market_files.trades(tmp_path / "t.parquet"), None, "5m", CATALOGUE, None)
    assert found.trades is not None
    assert len(found.trades) == 4 * len(market_files.WAVE)
    assert (np.diff(found.trades.ts_ns) >= 0).all()
    messages = list(found.messages())
    assert [m.ts_ns for m in messages] == sorted(m.ts_ns for m in messages)
    known: list[Tick] = []
    for message in messages:
        if isinstance(message, Bar):
            inside = [tick.price for tick in known if message.start_ns <= tick.ts_ns < message.ts_ns]
            assert (message.open, message.close) == (inside[0], inside[-1])
        else:
            known.append(message)
    assert sum(isinstance(m, Bar) for m in messages) == len(found.bars) == len(market_files.WAVE) // 5


@pytest.mark.parametrize(
    ("name", "symbol", "code"),
    [("two", None, "SYMBOL_NEEDED"), ("two", "XYZ", "SYMBOL_UNKNOWN"), ("absent", None, "DATA_MISSING")],
)
def test_what_cannot_be_used_has_a_code(tmp_path: Path, name: str, symbol: str | None, code: str) -> None:
    market_files.bars(tmp_path / "two.parquet", ("AAPL", "IBM"))
    with pytest.raises(DataError) as caught:
        load(str(tmp_path / f"{name}.parquet"), symbol, "1m", CATALOGUE, None)
    assert caught.value.code == code
    assert caught.value.hint


def test_files_that_hold_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no")
    market_files.write(tmp_path / "other.parquet", {"a": [1]})
    for name, code in (("text", "DATA_UNREADABLE"), ("other", "DATA_COLUMNS_MISSING")):
        with pytest.raises(DataError) as caught:
            load(str(tmp_path / f"{name}.parquet"), None, "1m", CATALOGUE, None)
        assert caught.value.code == code


def test_clean_bars_of_the_lake(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    io = LakeIO(lake)
    with pytest.raises(DataError) as caught:
        load("lake", None, "1m", CATALOGUE, io)
    assert caught.value.code == "DATA_MISSING"
    rows = lakes.bars(lakes.ticks())
    io.replace(CLEAN_BARS_V1, lakes.DAY, lakes.table_of(CLEAN_BARS_V1, rows))
    with pytest.raises(DataError) as caught:
        load("lake", None, "1m", CATALOGUE, io)
    assert caught.value.code == "SYMBOL_NEEDED"
    found = load("lake", "ETH-USD", "5m", CATALOGUE, io)
    expected = [row for row in rows if (row["instrument"], row["interval"]) == ("ETH-USD.SIM", "5m")]
    assert found.bars.close.tolist() == [round(row["close"] * 100) for row in expected]
    assert load("lake", "ETH-USD.SIM", "1d", CATALOGUE, io).bars.ts_ns.tolist()[0] % (86_400 * 10**9) == 0


def test_the_real_daily_bars_load_with_their_splits_told(shared_data: Callable[[str], Path]) -> None:
    found = load(str(shared_data("us_equity_daily.parquet")), "AAPL", "1m", CATALOGUE, None)
    assert len(found.bars) > 5_000
    assert any("2014-06-09" in warning for warning in found.warnings)
