"""A table that is missing is empty; sizes and the newest tick come without reading rows."""

from datetime import timedelta
from pathlib import Path

from orchestration.lake_io import LakeIO, Size
from streaming.adapters.lake import Lake
from tests.orchestration.lakes import DAY, fill, table_of, ticks
from trading.schemas import CLEAN_TICKS_V1, FRAMES_V1, TICKS_V1


def test_a_missing_table_is_empty(tmp_path: Path) -> None:
    lake = LakeIO(Lake(tmp_path))
    assert lake.version(TICKS_V1) is None
    assert lake.read(TICKS_V1, DAY).num_rows == 0
    assert (lake.rows_by_date(TICKS_V1), lake.size(TICKS_V1), lake.histogram(TICKS_V1)) == ({}, Size(), {})
    assert lake.state(TICKS_V1).version is None
    assert (lake.compact(TICKS_V1), lake.vacuum(TICKS_V1)) == (0, 0)
    assert lake.newest_ns(TICKS_V1) is None
    assert lake.foreign(TICKS_V1) is None
    assert not (tmp_path / "bronze").exists(), "looking creates nothing"


def test_the_newest_tick_is_that_of_the_last_date_in_question(tmp_path: Path) -> None:
    lake = LakeIO(fill(tmp_path, [DAY, DAY + timedelta(days=1)]))
    last = max(row["ts"] for row in ticks())
    assert lake.newest_ns(TICKS_V1, DAY) == int(last.timestamp()) * 10**9
    assert lake.newest_ns(TICKS_V1) == int((last + timedelta(days=1)).timestamp()) * 10**9
    assert lake.newest_ns(TICKS_V1, DAY - timedelta(days=1)) is None


def test_the_state_is_of_one_version(tmp_path: Path) -> None:
    lake = fill(tmp_path)
    state = LakeIO(lake).state(TICKS_V1)
    assert (state.version, state.rows, state.faults) == (lake.version(TICKS_V1), len(ticks()), [])
    assert state.rows_in_ranges == state.rows
    assert state.taken == {"ticks-0": lake.offset_ranges(TICKS_V1)[-1].source.last + 1}
    assert LakeIO(lake).size(FRAMES_V1)[:2] == (10, 3)


def test_a_day_is_replaced_whole(tmp_path: Path) -> None:
    lake = LakeIO(Lake(tmp_path))
    rows = [{key: value for key, value in row.items() if not key.startswith("src_")} for row in ticks()]
    for count in (20, 10):
        lake.replace(CLEAN_TICKS_V1, DAY, table_of(CLEAN_TICKS_V1, rows[:count]))
        assert lake.read(CLEAN_TICKS_V1, DAY).num_rows == count
