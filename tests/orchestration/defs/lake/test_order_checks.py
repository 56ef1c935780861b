"""The audit in Dagster: over a real lake, up to the offset that all tables have."""

import asyncio
from pathlib import Path

import dagster as dg
import pytest

from orchestration.catalog import table_key
from orchestration.defs.lake.order_checks import TABLES, audit_orders
from orchestration.home import Home
from streaming.adapters.lake import Lake
from streaming.flows.sink_journal import SINKS
from tests.streaming.journal_records import broker_of, context_of, drain, records
from trading.schemas import FILLS_V1, ORDERS_JOURNAL


def failed(home: Path) -> set[str]:
    """Return the checks that fail, all of which must have been evaluated."""
    definitions = dg.Definitions(
        assets=[dg.AssetSpec(table_key(table)) for table in TABLES.values()],
        asset_checks=[audit_orders],
        jobs=[dg.define_asset_job("audit", selection=dg.AssetSelection.all_asset_checks())],
        resources={"home": Home(root=str(home))},
    )
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def("audit").execute_in_process(
            instance=instance, run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        )
    evaluations = result.get_asset_check_evaluations()
    assert len(evaluations) == 6
    return {each.check_name for each in evaluations if not each.passed}


async def _fill(home: Path, behind: int) -> None:
    payloads, _ = records()
    for name, make in SINKS.items():
        end = len(payloads) - (behind if name == FILLS_V1.name else 0)
        broker = await broker_of(payloads[:end])
        await drain(make(context_of(home, broker), ORDERS_JOURNAL.name, 0), broker)


def fill(home: Path, behind: int = 0) -> None:
    """Write the tables; the fills are some records behind. Dagster needs a thread without a loop."""
    asyncio.run(_fill(home, behind))


@pytest.mark.parametrize("behind", [0, 4])
def test_a_sound_lake_passes_although_a_sink_is_behind(tmp_path: Path, behind: int) -> None:
    fill(tmp_path, behind)
    assert failed(tmp_path) == set()


def test_an_empty_lake_passes(tmp_path: Path) -> None:
    assert failed(tmp_path) == set()


def test_a_row_that_is_there_twice_fails(tmp_path: Path) -> None:
    fill(tmp_path)
    lake = Lake(tmp_path / "lake")
    lake.append(FILLS_V1, lake.read(FILLS_V1).slice(0, 1))
    assert failed(tmp_path) == {"executions", "positions", "cash"}
