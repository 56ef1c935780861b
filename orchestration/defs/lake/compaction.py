"""Compaction: many small files of the sinks become few, and files that no reader needs any more are removed."""

from typing import Any

import dagster as dg

from orchestration.catalog import LAKE, OWNER, POOL, by_layer, table_key
from orchestration.home import Home
from orchestration.report import table
from trading.schemas import TABLES

HOURLY = "17 * * * *"


@dg.asset(
    key=dg.AssetKey([LAKE, "compaction"]),
    deps=[table_key(bronze) for bronze in by_layer("bronze")],
    group_name=LAKE,
    description="Report of the last compaction: files before and after, by table, and their sizes.",
    owners=[OWNER],
    kinds={"deltalake"},
    tags={"stage": LAKE, "layer": "maintenance"},
    retry_policy=dg.RetryPolicy(max_retries=3, delay=5, backoff=dg.Backoff.EXPONENTIAL),
    pool=POOL,
)
def compaction(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the bare name
    """Compact the days of every table that have many small files."""
    lake = home.lake()
    records: list[dict[str, Any]] = []
    sizes: dict[str, int] = {}
    for each in TABLES:
        before = lake.size(each)
        joined = lake.compact(each)
        deleted = lake.vacuum(each)
        after = lake.size(each)
        for label, count in lake.histogram(each).items():
            sizes[label] = sizes.get(label, 0) + count
        records.append(
            {
                "table": each.name,
                "files_before": before.files,
                "files_after": after.files,
                "files_joined": joined,
                "files_deleted": deleted,
                "rows": after.rows,
                "bytes": after.bytes,
            }
        )
        context.log.info("%s: %d files before, %d after", each.name, before.files, after.files)
    return dg.MaterializeResult(
        metadata={
            "files_before": sum(int(r["files_before"]) for r in records),
            "files_after": sum(int(r["files_after"]) for r in records),
            "bytes": sum(int(r["bytes"]) for r in records),
            "tables": table(records),
            "file sizes": table([{"size": label, "files": count} for label, count in sizes.items()]),
        }
    )


@dg.definitions
def hourly_compaction() -> dg.Definitions:
    """Return the report, its job and the schedule."""
    job = dg.define_asset_job("compact_lake", selection=[compaction], description="Compact every table of the lake.")
    schedule = dg.ScheduleDefinition(
        name="compact_lake_hourly",
        job=job,
        cron_schedule=HOURLY,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Each hour; a sink that commits at the same time wins, and the compaction tries again.",
    )
    return dg.Definitions(assets=[compaction], jobs=[job], schedules=[schedule])
