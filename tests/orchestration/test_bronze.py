"""The findings of a bronze table: all well, and the three that fail when its columns are foreign."""

from pathlib import Path

from deltalake import write_deltalake

from orchestration.bronze import findings
from orchestration.lake_io import LakeIO
from streaming.adapters.lake import Lake
from tests.orchestration.lakes import append, fill, table_of, ticks
from trading.schemas import BARS_V1, TICKS_V1


def test_a_sound_table_passes_and_one_that_is_not_there_too(tmp_path: Path) -> None:
    empty = findings(LakeIO(Lake(tmp_path / "none")), TICKS_V1)
    found = findings(LakeIO(fill(tmp_path)), TICKS_V1)
    assert [finding.name for finding in found] == [finding.name for finding in empty] == ["schema", "offsets", "counts"]
    assert all(finding.passed for finding in (*empty, *found))


def test_a_gap_and_foreign_columns(tmp_path: Path) -> None:
    lake = fill(tmp_path)
    append(lake, TICKS_V1, "ticks", ticks()[:10], commits=1, first=10_000)
    assert [finding.name for finding in findings(LakeIO(lake), TICKS_V1) if not finding.passed] == ["offsets"]
    other = Lake(tmp_path / "other")
    rows = table_of(BARS_V1, []).drop_columns(["flags"])
    write_deltalake(str(other.path(BARS_V1)), rows, partition_by=["date"])
    found = findings(LakeIO(other), BARS_V1)
    assert not any(finding.passed for finding in found)
    assert all(finding.message for finding in found)
