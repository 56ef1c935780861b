"""The sensor records what the platform is at, live or stopped, and says why when there is nothing to record."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.defs.streams.watch import watch_streams
from orchestration.home import Home
from tests.orchestration.lakes import append, fill, status, ticks
from tests.orchestration.pages import left_behind, served
from trading.schemas import TICKS_V1

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
