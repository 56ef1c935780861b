"""Checks of bronze tables, each with the fault that it is for."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from deltalake import write_deltalake

from orchestration.catalog import by_layer, table_key
from orchestration.defs.lake.bronze_checks import bronze_checks
from orchestration.home import Home
from streaming.adapters.lake import Lake, SourceRange
from tests.orchestration.lakes import DAY, append, fill, status, table_of, ticks
from tests.orchestration.pages import served
from trading.schemas import BARS_V1, FRAMES_V1, TICKS_V1, Table

NOBODY = 1


def _check(home: Path, port: int = NOBODY) -> dict[str, bool]:
    checks: Any = bronze_checks()
    assets = [dg.AssetSpec(table_key(table)) for table in by_layer("bronze")]
    definitions = dg.Definitions(
        assets=assets, asset_checks=checks.asset_checks, resources={"home": Home(root=str(home), port=port)}
    )
    job = dg.define_asset_job("check", selection=dg.AssetSelection.all_asset_checks())
    definitions = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job]))
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def("check").execute_in_process(
            instance=instance, run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        )
    return {f"{e.asset_key.path[-1]}.{e.check_name}": e.passed for e in result.get_asset_check_evaluations()}


def _failed(home: Path, port: int = NOBODY) -> set[str]:
    return {name for name, passed in _check(home, port).items() if not passed}


def test_a_sound_lake_and_an_empty_one_pass(tmp_path: Path) -> None:
    checks = _check(tmp_path)
    assert len(checks) == 19
    fill(tmp_path)
    assert _failed(tmp_path) == set()


def test_a_gap_in_the_offsets_is_found(tmp_path: Path) -> None:
    append(fill(tmp_path), TICKS_V1, "ticks", ticks()[:10], commits=1, first=10_000)
    assert _failed(tmp_path) == {"ticks_v1.offsets"}


def test_rows_that_no_offset_range_accounts_for_are_found(tmp_path: Path) -> None:
    lake = fill(tmp_path)
    lake.append(TICKS_V1, table_of(TICKS_V1, ticks()[:3]))
    assert _failed(tmp_path) == {"ticks_v1.counts"}


def test_rows_that_a_commit_only_claims_are_found(tmp_path: Path) -> None:
    lake = fill(tmp_path)
    end = lake.offset_ranges(FRAMES_V1)[-1].source.last + 1
    claimed = SourceRange(topic="ticks.raw", partition=0, first=end, last=end, rows=1)
    lake.append(FRAMES_V1, table_of(FRAMES_V1, []), [claimed])
    assert _failed(tmp_path) == {"frames_v1.counts"}


@pytest.mark.parametrize("table", [TICKS_V1, BARS_V1])
def test_foreign_columns_are_found(tmp_path: Path, table: Table) -> None:
    rows = table_of(table, []).drop_columns(["flags"])
    write_deltalake(str(Lake(tmp_path / "lake").path(table)), rows, partition_by=["date"])
    assert f"{table.name}.schema" in _failed(tmp_path)


def test_a_lake_that_falls_behind_the_feed_is_found(tmp_path: Path) -> None:
    page = status(fill(tmp_path), drained=False)
    with served(page) as port:
        assert _failed(tmp_path, port) == set()
    page["feed"]["clock_ns"] += 120 * 10**9
    with served(page) as port:
        assert _failed(tmp_path, port) == {"ticks_v1.freshness"}


def test_ticks_of_another_feed_do_not_make_it_fresh(tmp_path: Path) -> None:
    lake = fill(tmp_path)
    page = status(lake, drained=False)
    page["feed"]["clock_ns"] += 120 * 10**9
    append(lake, TICKS_V1, "ticks", ticks(DAY.replace(year=2025)), commits=1, first=5_000)
    with served(page) as port:
        assert "ticks_v1.freshness" in _failed(tmp_path, port)
