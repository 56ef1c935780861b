"""Clean and check chosen days now, in this process, with the runs recorded in the instance of the data folder."""

import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

JOB = "clean_day"
BRONZE_JOB = "check_bronze"


def materialize_days(home: Path, dates: Sequence[date]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return day -> check -> {passed, message, figures}, and the same for `bronze`. `ok` is false if a run failed."""
    import dagster as dg

    from orchestration.definitions import defs

    folder = home.absolute() / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("DAGSTER_HOME", str(folder))
    here = {
        "resources": {"home": {"config": {"root": str(home.absolute())}}},
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }
    definitions = defs()
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        outcome = {"bronze": _run(definitions, BRONZE_JOB, None, instance, here)}
        for day in sorted(dates):
            outcome[day.isoformat()] = _run(definitions, JOB, day.isoformat(), instance, here)
    return outcome


def _run(
    definitions: Any, job: str, partition: str | None, instance: Any, config: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    result = definitions.resolve_job_def(job).execute_in_process(
        run_config=config, instance=instance, partition_key=partition, raise_on_error=False
    )
    found = {
        f"{each.asset_key.path[-1]}.{each.check_name}": {
            "passed": each.passed,
            "message": each.description or "",
            "figures": {name: value.value for name, value in each.metadata.items()},
        }
        for each in result.get_asset_check_evaluations()
    }
    found["run"] = {"passed": result.success, "message": f"run {result.run_id}", "figures": {}}
    return found
