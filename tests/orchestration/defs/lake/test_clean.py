"""Clean tables: materialised on a small lake, again with the same rows, whole or absent, and stopped by bad data."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.defs.lake.clean import clean_bars_v1, clean_ticks_v1
from orchestration.home import Home
from orchestration.plots import MAX_BYTES
from streaming.adapters.lake import Lake
from tests.orchestration.lakes import DAY, append, fill, table_of, ticks
from trading.schemas import BARS_V1, CLEAN_BARS_V1, CLEAN_TICKS_V1, TICKS_V1

# Nothing listens on port 1, so a platform that runs on this machine is not asked.
PORT = 1


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def _run(home: Path, instance: dg.DagsterInstance, *assets: dg.AssetsDefinition) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [*(assets or (clean_ticks_v1, clean_bars_v1))],
        partition_key=DAY.isoformat(),
        resources={"home": Home(root=str(home), port=PORT)},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        instance=instance,
        raise_on_error=False,
    )


def _checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {
        f"{each.asset_key.path[-1]}.{each.check_name}": each.passed for each in result.get_asset_check_evaluations()
    }


def _metadata(result: dg.ExecuteInProcessResult, name: str) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node(f"lake__{name}")
    return {key: value.value for key, value in event.metadata.items()}


def test_a_day_is_cleaned_and_every_check_passes(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    lake = fill(tmp_path)
    result = _run(tmp_path, instance)
    assert result.success
    checks = _checks(result)
    assert len(checks) == 11
    assert all(checks.values()), checks
    figures = _metadata(result, "clean_ticks_v1")
    assert figures["rows"] == figures["dagster/partition_row_count"] == lake.rows(TICKS_V1) == len(ticks())
    assert figures["instruments"] == 2
    assert figures["tick rate"].startswith("![Tick rate](data:image/png;base64,")
    assert len(figures["tick rate"]) < 2 * MAX_BYTES
    bars = _metadata(result, "clean_bars_v1")
    assert bars["bars"] == lake.rows(CLEAN_BARS_V1)
    assert bars["bars_not_from_ticks"] == bars["revisions"] == 0
    assert bars["prices"].startswith("![1-minute closes]")


def test_a_rerun_gives_the_same_rows_and_leaves_other_days_alone(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    other = DAY.replace(day=6)
    lake = fill(tmp_path, [DAY, other])
    lake.replace_partition(CLEAN_TICKS_V1, other, table_of(CLEAN_TICKS_V1, [_clean(row) for row in ticks(other)[:7]]))
    for _ in range(2):
        assert _run(tmp_path, instance).success
        rows = [lake.read(table, dates=[DAY]) for table in (CLEAN_TICKS_V1, CLEAN_BARS_V1)]
        assert [table.num_rows for table in rows] == [len(ticks()), lake.rows_by_date(BARS_V1)[DAY]]
    assert lake.rows_by_date(CLEAN_TICKS_V1) == {DAY: len(ticks()), other: 7}


def _clean(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if not key.startswith("src_")}


def test_rows_written_twice_are_left_out_and_told(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    lake = fill(tmp_path)
    append(lake, TICKS_V1, "ticks", ticks()[:30], commits=1, first=10_000)
    result = _run(tmp_path, instance)
    assert result.success, "the clean table is sound, so what comes after may run"
    assert [name for name, passed in _checks(result).items() if not passed] == ["clean_ticks_v1.source_key"]
    assert lake.rows(CLEAN_TICKS_V1) == len(ticks())


def test_impossible_bars_stop_what_comes_after(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    lake = fill(tmp_path)
    bad = lake.read(BARS_V1).to_pylist()[0] | {"low": 1e9, "revision": 1, "src_offset": 9_999}
    append(lake, BARS_V1, "bars", [bad], commits=1, first=10_000)
    ran: list[str] = []

    @dg.asset(deps=[clean_bars_v1])
    def after() -> None:
        ran.append("after")

    result = _run(tmp_path, instance, clean_ticks_v1, clean_bars_v1, after)
    assert not result.success
    assert not ran
    failed = {name for name, passed in _checks(result).items() if not passed}
    assert failed == {"clean_bars_v1.ohlc", "clean_bars_v1.bars_from_ticks"}


def test_a_missing_minute_is_told(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    lake = fill(tmp_path)
    rows = lake.read(BARS_V1).to_pylist()
    minute = next(row for row in rows if row["interval"] == "1m")
    lake.replace_partition(BARS_V1, DAY, table_of(BARS_V1, [row for row in rows if row is not minute]))
    failed = {name for name, passed in _checks(_run(tmp_path, instance)).items() if not passed}
    assert failed == {"clean_bars_v1.gaps", "clean_bars_v1.bars_from_ticks"}


@pytest.mark.parametrize("step", ["data_synced", "committed", "commit_synced"])
def test_a_crash_while_a_day_is_written_leaves_it_whole_or_absent(
    tmp_path: Path, instance: dg.DagsterInstance, step: str
) -> None:
    lake = fill(tmp_path)

    def crash(name: str) -> None:
        if name == step:
            raise KeyboardInterrupt

    dying = Lake(tmp_path / "lake", on_step=crash)
    rows = table_of(CLEAN_TICKS_V1, [_clean(row) for row in ticks()])
    dying.ensure(CLEAN_TICKS_V1)
    with pytest.raises(KeyboardInterrupt):
        dying.replace_partition(CLEAN_TICKS_V1, DAY, rows)
    assert lake.rows(CLEAN_TICKS_V1) in {0, len(ticks())}
    assert (lake.rows(CLEAN_TICKS_V1) == 0) == (step == "data_synced")
    assert _run(tmp_path, instance).success
    assert lake.rows(CLEAN_TICKS_V1) == len(ticks())


def test_a_day_without_rows_is_an_empty_day(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    result = _run(tmp_path, instance)
    assert result.success
    assert _metadata(result, "clean_ticks_v1")["rows"] == 0
