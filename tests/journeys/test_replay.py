"""Real prints through the real process: everything arrives, once, and the bars are those that DuckDB computes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journeys import evidence
from tests.streaming.worker_process import WorkerProcess
from trading.schemas import FRAMES_V1

TRADES = "us_equity_trades_20131007.parquet"
QUOTES = "us_equity_quotes_20131007.parquet"


def replay(home: Path, source: str, **env: str) -> dict[str, int]:
    """Replay to the end in a process of its own and reconcile the counts."""
    with WorkerProcess(home, "--until-drained", "--feed", f"replay:{source}", env=env) as worker:
        code, errors = worker.end()
    assert code == 0, errors
    return evidence.reconcile(home)


def assert_bars_equal(home: Path, file: Path) -> None:
    for interval in ("1m", "1h", "1d"):
        assert evidence.bars(home, interval) == evidence.bars_of_file(file, interval), interval


def test_a_part_of_a_real_day(tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    file = evidence.cut(shared_data(TRADES), tmp_path / "part.parquet", 150_000, 60_000)
    totals = replay(tmp_path / "home", str(file))
    assert (totals["ticks_in"], totals["ticks_out"], totals["rejected"]) == (60_000, 60_000, 0)
    assert evidence.duplicate_rows(tmp_path / "home") == 0
    assert_bars_equal(tmp_path / "home", file)


def test_a_second_replay_of_the_same_file_adds_nothing(tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    file = evidence.cut(shared_data(TRADES), tmp_path / "part.parquet", 0, 5_000)
    first = replay(tmp_path / "home", str(file))
    assert replay(tmp_path / "home", str(file)) == first | {"rework": 0, "queued": 0}


def test_a_folder_of_trades_and_quotes_is_merged_by_time(tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    folder = tmp_path / "day"
    folder.mkdir()
    trades = evidence.cut(shared_data(TRADES), folder / "trades.parquet", 0, 20_000)
    evidence.cut(shared_data(QUOTES), folder / "quotes.parquet", 0, 20_000)
    totals = replay(tmp_path / "home", str(folder))
    assert totals["ticks_in"] == 40_000
    assert_bars_equal(tmp_path / "home", trades)


def test_captured_frames_replay_to_the_same_lake(tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    file = evidence.cut(shared_data(TRADES), tmp_path / "part.parquet", 0, 20_000)
    replay(tmp_path / "first", str(file))
    capture = tmp_path / "first" / "lake" / FRAMES_V1.layer / FRAMES_V1.name
    replay(tmp_path / "second", str(capture))
    assert evidence.ticks(tmp_path / "second") == evidence.ticks(tmp_path / "first")
    assert evidence.bars(tmp_path / "second", "1m") == evidence.bars(tmp_path / "first", "1m")


@pytest.mark.soak
def test_a_whole_real_day(tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    file = shared_data(TRADES)
    totals = replay(tmp_path / "home", str(file))
    assert (totals["ticks_in"], totals["ticks_out"], totals["rejected"]) == (388_417, 388_417, 0)
    assert_bars_equal(tmp_path / "home", file)
