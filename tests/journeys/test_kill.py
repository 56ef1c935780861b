"""Nothing is lost and nothing is doubled when the streaming process is killed, whenever that is."""

import logging
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journeys import evidence, kills

TRADES = "us_equity_trades_20131007.parquet"
TOTALS = ("frames", "ticks_in", "ticks_out", "rejected", "duplicates", "late", "bars", "revisions")


_log = logging.getLogger("journeys")


def check_sweep(folder: Path, file: Path, rows: int, count: int, speed: int, run_s: float) -> None:
    kills.undisturbed(folder / "calm", file, speed=speed)
    ready_s = kills.sweep(folder / "killed", file, count, speed=speed, run_s=run_s)
    _log.info("start to ready: %s s", ", ".join(f"{second:.2f}" for second in ready_s))
    calm, killed = (evidence.reconcile(folder / name) for name in ("calm", "killed"))
    where = f"seed {kills.SEED}, {count} kills"
    assert killed["ticks_in"] == rows, where
    assert evidence.duplicate_rows(folder / "killed") == 0, where
    assert {name: killed[name] for name in TOTALS} == {name: calm[name] for name in TOTALS}, where
    assert evidence.ticks(folder / "killed") == evidence.ticks(folder / "calm"), where
    for interval in ("1m", "5m", "15m", "1h", "1d"):
        assert evidence.bars(folder / "killed", interval) == evidence.bars(folder / "calm", interval), where


def test_eight_kills(tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    file = evidence.cut(shared_data(TRADES), tmp_path / "day.parquet", 0, 200_000)
    check_sweep(tmp_path, file, 200_000, count=8, speed=kills.SPEED, run_s=kills.RUN_S)


@pytest.mark.soak
@pytest.mark.timeout(1_200)
def test_twenty_five_kills(tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    check_sweep(tmp_path, shared_data(TRADES), 388_417, count=25, speed=1_200, run_s=4.0)


def test_a_torn_tail_is_cut_and_the_run_goes_on(tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    file = evidence.cut(shared_data(TRADES), tmp_path / "day.parquet", 0, 20_000)
    kills.undisturbed(tmp_path / "calm", file, speed=0)
    home = tmp_path / "torn"
    kills.undisturbed(home, file, speed=0)
    rng = random.Random(kills.SEED)
    for partition in (home / "log" / "topics").glob("*/*"):
        newest = max(path for path in partition.iterdir() if path.suffix == ".log")
        with newest.open("ab") as segment:
            # The first bytes of a record that was never acknowledged.
            segment.write(newest.read_bytes()[: rng.randrange(1, 60)])
    kills.undisturbed(home, file, speed=0)
    assert evidence.reconcile(home)["ticks_in"] == 20_000
    assert evidence.ticks(home) == evidence.ticks(tmp_path / "calm")


def test_a_broken_snapshot_is_made_again_from_the_raw_frames(
    tmp_path: Path, shared_data: Callable[[str], Path]
) -> None:
    file = evidence.cut(shared_data(TRADES), tmp_path / "day.parquet", 0, 20_000)
    home = tmp_path / "home"
    kills.undisturbed(home, file, speed=0)
    before, totals = evidence.ticks(home), evidence.reconcile(home)
    snapshot = home / "state" / "normalize-0.snap"
    snapshot.write_bytes(snapshot.read_bytes()[:-100])
    kills.undisturbed(home, file, speed=0)
    again = evidence.reconcile(home)
    assert {name: again[name] for name in TOTALS} == {name: totals[name] for name in TOTALS}
    assert evidence.ticks(home) == before
