"""What starts the cleaning: automation for today, the sensor for other days; both ask once for the same rows."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.catalog import table_key
from orchestration.definitions import defs
from orchestration.defs.lake.automation import clean_other_days
from orchestration.home import Home
from tests.orchestration.lakes import DAY, append, fill, ticks
from trading.schemas import BARS_V1, CLEAN_BARS_V1, CLEAN_TICKS_V1, TICKS_V1

NOON = datetime(2026, 3, 5, 12, 1, tzinfo=UTC)
TODAY = NOON.date().isoformat()


@pytest.fixture(scope="module")
def loaded() -> dg.Definitions:
    return defs()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def _ask(
    loaded: dg.Definitions, instance: dg.DagsterInstance, at: datetime, cursor: Any = None
) -> tuple[set[tuple[str, str | None]], Any]:
    found = dg.evaluate_automation_conditions(
        loaded, instance, asset_selection=dg.AssetSelection.all(), evaluation_time=at, cursor=cursor
    )
    keys = (table_key(CLEAN_TICKS_V1), table_key(CLEAN_BARS_V1))
    asked = {(key.path[-1], day) for key in keys for day in found.get_requested_partitions(key)}
    return asked, found.cursor


def _commit(instance: dg.DagsterInstance) -> None:
    for table in (TICKS_V1, BARS_V1):
        instance.report_runless_asset_event(dg.AssetMaterialization(table_key(table)))


def test_today_is_asked_for_as_soon_as_there_is_data(loaded: dg.Definitions, instance: dg.DagsterInstance) -> None:
    asked, cursor = _ask(loaded, instance, NOON)
    assert asked == set(), "nothing is in the lake yet"
    _commit(instance)
    asked, _ = _ask(loaded, instance, NOON + timedelta(minutes=1), cursor)
    assert asked == {("clean_ticks_v1", TODAY), ("clean_bars_v1", TODAY)}


def test_today_is_cleaned_each_ten_minutes_while_data_comes(
    loaded: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    now = datetime.now(UTC)
    start = now - timedelta(minutes=now.minute % 10 + 30)
    _commit(instance)
    for table in (CLEAN_TICKS_V1, CLEAN_BARS_V1):
        instance.report_runless_asset_event(
            dg.AssetMaterialization(table_key(table), partition=start.date().isoformat())
        )
    _, cursor = _ask(loaded, instance, start)
    asked, cursor = _ask(loaded, instance, start + timedelta(minutes=1), cursor)
    assert asked == set(), "the turn of the clock has not come"
    asked, cursor = _ask(loaded, instance, start + timedelta(minutes=11), cursor)
    assert asked == set(), "nothing new came since the turn of the clock"
    _commit(instance)
    asked, cursor = _ask(loaded, instance, start + timedelta(minutes=12), cursor)
    assert {name for name, _ in asked} == {"clean_ticks_v1", "clean_bars_v1"}
    asked, cursor = _ask(loaded, instance, start + timedelta(minutes=13), cursor)
    assert asked == set(), "once for each turn"


def _look(home: Path, instance: dg.DagsterInstance, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(instance=instance, cursor=cursor, resources={"home": Home(root=str(home))})
    found = clean_other_days(context)
    assert isinstance(found, dg.SensorResult | dg.SkipReason)
    return found


def test_other_days_are_asked_for_once_and_again_when_they_change(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    other = DAY.replace(day=6)
    lake = fill(tmp_path, [DAY, other])
    first = _look(tmp_path, instance)
    assert isinstance(first, dg.SensorResult)
    assert {request.partition_key for request in first.run_requests or ()} == {DAY.isoformat(), other.isoformat()}
    again = _look(tmp_path, instance, first.cursor)
    assert isinstance(again, dg.SkipReason)
    append(lake, TICKS_V1, "ticks", ticks(other)[:10], commits=1, first=90_000)
    asked: list[str | None] = []
    cursor = first.cursor
    for _ in range(2):
        context = dg.build_sensor_context(
            instance=instance, cursor=cursor, resources={"home": Home(root=str(tmp_path))}
        )
        found = clean_other_days(context)
        cursor = found.cursor if isinstance(found, dg.SensorResult) else context.cursor
        asked += [r.partition_key for r in found.run_requests or ()] if isinstance(found, dg.SensorResult) else []
    assert asked == [other.isoformat()]


def test_today_is_left_to_the_automation(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    fill(tmp_path, [datetime.now(UTC).date()])
    assert isinstance(_look(tmp_path, instance), dg.SkipReason)


def test_an_empty_lake_is_no_failure(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    assert isinstance(_look(tmp_path, instance), dg.SkipReason)
