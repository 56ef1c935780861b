"""The definitions load anywhere, everything in them is described, and their graph is the committed one."""

import importlib.resources
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

import orchestration
from orchestration.definitions import defs
from trading.schemas import TABLES

SNAPSHOT = Path(__file__).with_name("graph.json")
OF_ORDERS = ("orders_commands", "orders_journal", "journal_v1", "fills_v1", "positions_v1")
UPDATE = "python -m tests.orchestration.test_definitions"
ROOT = Path(orchestration.__file__).parents[1]


@pytest.fixture(scope="module")
def loaded() -> dg.Definitions:
    return defs()


def check_specs(definitions: dg.Definitions) -> list[dg.AssetCheckSpec]:
    """Return the specs of all checks."""
    found = definitions.resolve_asset_graph()
    return [found.get_check_spec(key) for key in sorted(found.asset_check_keys)]


def graph(definitions: dg.Definitions) -> dict[str, Any]:
    """Return what a reviewer wants to see of every asset, as plain data."""
    assets = {
        spec.key.to_user_string(): {
            "group": spec.group_name,
            "kinds": sorted(spec.kinds),
            "owners": sorted(spec.owners),
            "deps": sorted(dep.asset_key.to_user_string() for dep in spec.deps),
            "partitions": None if spec.partitions_def is None else type(spec.partitions_def).__name__,
            "automation": None
            if spec.automation_condition is None
            else spec.automation_condition.get_label() or "custom",
            "freshness": spec.freshness_policy is not None,
        }
        for spec in definitions.resolve_all_asset_specs()
    }
    checks = {
        f"{spec.asset_key.to_user_string()}:{spec.name}": "blocking" if spec.blocking else "telling"
        for spec in check_specs(definitions)
    }
    repository = definitions.get_repository_def()
    starts = {
        **{each.name: each.cron_schedule for each in repository.schedule_defs},
        **{each.name: f"each {each.minimum_interval_seconds} s" for each in repository.sensor_defs},
    }
    return {"assets": assets, "checks": checks, "starts": starts, "jobs": sorted(repository.job_names)}


def test_the_graph_is_the_committed_one(loaded: dg.Definitions) -> None:
    found = json.loads(json.dumps(graph(loaded)))
    assert found == json.loads(SNAPSHOT.read_text()), f"if the change is meant: {UPDATE}"


def test_every_asset_says_what_it_is_and_whose(loaded: dg.Definitions) -> None:
    for spec in loaded.resolve_all_asset_specs():
        assert spec.description, spec.key
        owner = "team:trading" if spec.key.path[-1] in OF_ORDERS else "team:market-data"
        assert list(spec.owners) == [owner], spec.key
        assert spec.kinds, spec.key
        assert spec.group_name in {"streams", "lake"}, spec.key
        assert spec.tags["stage"] == spec.group_name, spec.key
    assert all(spec.description for spec in check_specs(loaded))


def test_every_table_shows_its_columns(loaded: dg.Definitions) -> None:
    specs = {spec.key.path[-1]: spec for spec in loaded.resolve_all_asset_specs()}
    for table in TABLES:
        columns = specs[table.name].metadata["dagster/column_schema"].columns
        assert [(column.name, column.type) for column in columns] == list(table.columns)


def test_everything_that_starts_runs_is_switched_on(loaded: dg.Definitions) -> None:
    repository = loaded.get_repository_def()
    assert [s.name for s in repository.schedule_defs if s.default_status != dg.DefaultScheduleStatus.RUNNING] == []
    assert [s.name for s in repository.sensor_defs if s.default_status != dg.DefaultSensorStatus.RUNNING] == []


def _load(folder: Path) -> None:
    code = "from orchestration.definitions import defs; print(len(list(defs().resolve_all_asset_specs())))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env={}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    assert done.stdout.strip() == "17"


def test_they_load_from_an_installed_package_in_an_empty_environment(tmp_path: Path) -> None:
    for package in ("orchestration", "streaming", "trading"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    _load(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["orchestration", "streaming", "trading"]


def test_the_instance_settings_are_accepted(tmp_path: Path) -> None:
    shipped = importlib.resources.files("orchestration").joinpath("dagster.yaml").read_bytes()
    (tmp_path / "dagster.yaml").write_bytes(shipped)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.run_monitoring_enabled
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 2


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(graph(defs()), indent=2, sort_keys=True) + "\n")
