"""The sensor records what the platform is at, live or stopped, and says why when there is nothing to record."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from deltalake import write_deltalake

from orchestration.defs.streams.watch import watch_streams
from orchestration.home import Home
from streaming.adapters.lake import Lake
from tests.orchestration.lakes import append, fill, status, table_of, ticks
from tests.orchestration.pages import left_behind, served
from trading.schemas import FILLS_V1, TICKS_V1

NOBODY = 1


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def _look(
    home: Path, instance: dg.DagsterInstance, port: int = NOBODY, cursor: str | None = None
) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, resources={"home": Home(root=str(home), port=port)}
    )
    found = watch_streams(context)
    assert isinstance(found, dg.SensorResult | dg.SkipReason)
    return found


def _events(found: dg.SensorResult | dg.SkipReason) -> dict[str, dict[str, Any]]:
    assert isinstance(found, dg.SensorResult)
    return {
        f"{type(event).__name__} {event.asset_key.path[-1]}": {
            key: value.value for key, value in event.metadata.items()
        }
        for event in found.asset_events
    }


def _verdicts(found: dg.SensorResult | dg.SkipReason) -> dict[str, bool]:
    assert isinstance(found, dg.SensorResult)
    evaluations = [event for event in found.asset_events if isinstance(event, dg.AssetCheckEvaluation)]
    return {f"{event.asset_key.path[-1]}.{event.check_name}": event.passed for event in evaluations}


def test_a_live_platform_is_observed(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    lake = fill(tmp_path)
    with served(status(lake, drained=False)) as port:
        found = _look(tmp_path, instance, port)
    events = _events(found)
    assert events["AssetObservation feed"]["ticks"] == lake.rows(TICKS_V1)
    observed = events["AssetObservation ticks"]
    assert (observed["lag"], observed["lag/sink-ticks"], observed["ticks_per_s"]) == (7, 7, 2000.0)
    assert observed["offset"] == lake.offset_ranges(TICKS_V1)[-1].source.last + 1
    assert observed["last_tick"] == "2024-03-05T14:49:59.000+00:00"
    assert {f"AssetObservation {name}" for name in ("ticks_raw", "bars", "prices", "deadletter")} <= set(events)
    assert events["AssetCheckEvaluation ticks_v1"]["behind_s"] == 1.0


def test_a_new_version_of_a_table_is_a_materialisation_once(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    lake = fill(tmp_path)
    with served(status(lake, drained=False)) as port:
        first = _look(tmp_path, instance, port)
        assert isinstance(first, dg.SensorResult)
        table = _events(first)["AssetMaterialization ticks_v1"]
        assert table["dagster/row_count"] == lake.rows(TICKS_V1)
        assert table["version"] == lake.version(TICKS_V1)
        assert table["files"] == 3
        assert table["bytes"] > 0
        (event,) = [
            e
            for e in first.asset_events
            if e.asset_key.path[-1] == "ticks_v1" and isinstance(e, dg.AssetMaterialization)
        ]
        assert event.tags == {"dagster/data_version": f"v{lake.version(TICKS_V1)}"}
        again = _look(tmp_path, instance, port, first.cursor)
        assert not [name for name in _events(again) if name.startswith("AssetMaterialization")]
        assert _events(again)["AssetObservation ticks"]["messages_per_s"] == 0.0
        assert isinstance(again, dg.SensorResult)
        append(lake, TICKS_V1, "ticks", ticks()[:10], commits=1, first=1_000)
        third = _events(_look(tmp_path, instance, port, again.cursor))
    assert [name for name in third if name.startswith("AssetMaterialization")] == ["AssetMaterialization ticks_v1"]


def test_a_new_version_brings_its_checks_with_it(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    lake = fill(tmp_path)
    left_behind(tmp_path, status(lake))
    first = _look(tmp_path, instance)
    assert isinstance(first, dg.SensorResult)
    names = {f"{table}.{check}" for table in ("ticks_v1", "bars_v1") for check in ("schema", "offsets", "counts")}
    assert names <= set(_verdicts(first))
    assert all(_verdicts(first).values())
    append(lake, TICKS_V1, "ticks", ticks()[:10], commits=1, first=10_000)
    second = _verdicts(_look(tmp_path, instance, cursor=first.cursor))
    assert second == {"ticks_v1.schema": True, "ticks_v1.offsets": False, "ticks_v1.counts": True}


def test_a_foreign_table_fails_its_checks_and_the_others_are_watched(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    left_behind(tmp_path, status(fill(tmp_path)))
    rows = table_of(FILLS_V1, []).drop_columns(["fee"])
    write_deltalake(str(Lake(tmp_path / "lake").path(FILLS_V1)), rows, partition_by=["date"])
    found = _look(tmp_path, instance)
    assert _verdicts(found)["fills_v1.schema"] is False
    assert "AssetMaterialization ticks_v1" in _events(found)
    assert "AssetMaterialization fills_v1" not in _events(found)


def test_a_table_that_does_not_rest_is_looked_at_again(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = fill(tmp_path)
    left_behind(tmp_path, status(lake))
    with monkeypatch.context() as busy:
        busy.setattr("orchestration.lake_io.STABLE_ATTEMPTS", 0)
        first = _look(tmp_path, instance)
    assert isinstance(first, dg.SensorResult)
    assert not _verdicts(first)
    assert "ticks_v1.counts" in _verdicts(_look(tmp_path, instance, cursor=first.cursor))


def test_a_stopped_platform_is_observed_once_from_the_page_it_left(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    left_behind(tmp_path, status(fill(tmp_path)))
    found = _look(tmp_path, instance)
    assert _events(found)["AssetObservation feed"]["drained"] == "true"
    assert isinstance(found, dg.SensorResult)
    assert isinstance(_look(tmp_path, instance, cursor=found.cursor), dg.SkipReason)


def test_nothing_there_is_said_and_is_no_failure(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    found = _look(tmp_path, instance)
    assert isinstance(found, dg.SkipReason)
    assert "not running" in str(found.skip_message)


@pytest.mark.parametrize("cursor", ["", "{", "[]", '{"at_s": "x"}'])
def test_an_unreadable_cursor_means_nothing_was_seen(tmp_path: Path, instance: dg.DagsterInstance, cursor: str) -> None:
    left_behind(tmp_path, status(fill(tmp_path)))
    assert "AssetMaterialization bars_v1" in _events(_look(tmp_path, instance, cursor=cursor))
