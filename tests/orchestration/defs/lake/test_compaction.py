"""Compaction makes few files of many, tells how many, and changes no row."""

from pathlib import Path

import dagster as dg

from orchestration.defs.lake.compaction import compaction
from orchestration.home import Home
from tests.orchestration.lakes import fill
from trading.schemas import BARS_V1, FRAMES_V1, TICKS_V1


def _compact(home: Path) -> dict[str, object]:
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [compaction],
            instance=instance,
            resources={"home": Home(root=str(home))},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    (event,) = result.asset_materializations_for_node("lake__compaction")
    return {key: value.value for key, value in event.metadata.items()}


def test_many_files_become_few_and_the_rows_stay(tmp_path: Path) -> None:
    lake = fill(tmp_path)
    before = {table.name: sorted(map(str, lake.read(table).to_pylist())) for table in (TICKS_V1, BARS_V1, FRAMES_V1)}
    figures = _compact(tmp_path)
    assert (figures["files_before"], figures["files_after"]) == (9, 3)
    assert {"tables", "file sizes", "bytes"} <= set(figures)
    after = {table.name: sorted(map(str, lake.read(table).to_pylist())) for table in (TICKS_V1, BARS_V1, FRAMES_V1)}
    assert after == before
    assert lake.range_faults(TICKS_V1) == []
    again = _compact(tmp_path)
    assert (again["files_before"], again["files_after"]) == (3, 3)


def test_an_empty_lake_is_compacted_to_nothing(tmp_path: Path) -> None:
    assert _compact(tmp_path)["files_after"] == 0
