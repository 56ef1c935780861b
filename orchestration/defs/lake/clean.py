"""Clean tables: one day is read, cleaned by a pure function, and replaced whole; a rerun gives the same rows."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import dagster as dg

from orchestration import checks, day, plots
from orchestration.catalog import (
    DAYS,
    LAKE,
    OWNER,
    POOL,
    column_lineage,
    table_key,
    table_metadata,
)
from orchestration.home import Home
from orchestration.report import result, table
from streaming.adapters.lake import arrow_schema
from trading.schemas import BARS_V1, CLEAN_BARS_V1, CLEAN_TICKS_V1, TICKS_V1, Table

Body = Callable[..., Any]
EVERY_10_MIN = "*/10 * * * *"
_RETRY = dg.RetryPolicy(max_retries=3, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
_FRESH = dg.FreshnessPolicy.time_window(warn_window=timedelta(minutes=30), fail_window=timedelta(hours=2))
# The first cleaning of a day does not wait for the clock; a failed one waits for the next turn of it.
_WHEN = dg.AutomationCondition.on_cron(EVERY_10_MIN) | (
    dg.AutomationCondition.in_latest_time_window()
    & dg.AutomationCondition.missing()
    & ~dg.AutomationCondition.any_deps_missing()
    & ~dg.AutomationCondition.in_progress()
    & ~dg.AutomationCondition.execution_failed()
).with_label("first of the day")

_TICK_CHECKS = {
    "schema": "Columns and types are the declared ones.",
    "counts": "Bronze rows of the day = clean rows + rows left out because they say the same again.",
    "clean_key": "No two trades share instrument and trade id.",
    "source_key": "No bronze row was written twice: (src_partition, src_offset, src_row) is unique.",
}
_BAR_CHECKS = {
    "schema": "Columns and types are the declared ones.",
    "counts": "Bronze rows of the day = clean bars + older revisions.",
    "clean_key": "One row for each instrument, interval and start.",
    "source_key": "No revision of a bar was written twice.",
    "ohlc": "low <= open, close <= high; volume and trades are not negative.",
    "gaps": "Each minute with trades has its 1m bar; silences in trading are counted.",
    "bars_from_ticks": "The bars of all five intervals equal those that DuckDB computes from the ticks.",
}
# The clean table leaves repeats and holes visible; these say so without stopping what comes after.
_TELLING = ("source_key", "gaps")


def _specs(out: Table, names: dict[str, str]) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(name, asset=table_key(out), description=text, blocking=name not in _TELLING)
        for name, text in names.items()
    ]


def _clean(
    out: Table, source: Table, deps: list[Table], names: dict[str, str]
) -> Callable[[Body], dg.AssetsDefinition]:
    return dg.asset(
        key=table_key(out),
        deps=[table_key(dep) for dep in deps],
        partitions_def=DAYS,
        group_name=LAKE,
        description=out.description,
        owners=[OWNER],
        kinds={"deltalake", "duckdb"},
        tags={"stage": LAKE, "layer": out.layer},
        metadata=table_metadata(out) | {"dagster/column_lineage": column_lineage(out, source)},
        automation_condition=_WHEN,
        freshness_policy=_FRESH,
        retry_policy=_RETRY,
        pool=POOL,
        check_specs=_specs(out, names),
    )


@_clean(CLEAN_TICKS_V1, TICKS_V1, [TICKS_V1], _TICK_CHECKS)
def clean_ticks_v1(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the bare name
    """Write one day of clean ticks."""
    lake, session = home.lake(), date.fromisoformat(context.partition_key)
    bronze = lake.read(TICKS_V1, session)
    version = lake.replace(CLEAN_TICKS_V1, session, day.clean_ticks(bronze, arrow_schema(CLEAN_TICKS_V1)).table)
    stored = lake.read(CLEAN_TICKS_V1, session)
    findings = [
        checks.schema(stored.schema, arrow_schema(CLEAN_TICKS_V1)),
        checks.conserved(bronze.num_rows, stored.num_rows, day.repeated_ticks(bronze)),
        checks.unique("clean_key", day.prints(stored), ("instrument", "kind", "trade_id")),
        checks.unique("source_key", bronze, ("src_partition", "src_offset", "src_row")),
    ]
    instruments = plots.summary(stored)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(f"v{version}"),
        check_results=[result(finding, table_key(CLEAN_TICKS_V1)) for finding in findings],
        metadata={
            "dagster/partition_row_count": stored.num_rows,
            "rows": stored.num_rows,
            "left_out": bronze.num_rows - stored.num_rows,
            "instruments": len(instruments),
            "by instrument": table(instruments),
            "tick rate": dg.MetadataValue.md(plots.rate_chart(stored)),
        },
    )


@_clean(CLEAN_BARS_V1, BARS_V1, [BARS_V1, TICKS_V1, CLEAN_TICKS_V1], _BAR_CHECKS)
def clean_bars_v1(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the bare name
    """Write one day of clean bars, and compare them with the ticks of the day."""
    lake, session = home.lake(), date.fromisoformat(context.partition_key)
    bronze = lake.read(BARS_V1, session)
    version = lake.replace(CLEAN_BARS_V1, session, day.clean_bars(bronze, arrow_schema(CLEAN_BARS_V1)).table)
    stored, ticks = lake.read(CLEAN_BARS_V1, session), lake.read(TICKS_V1, session)
    settled, closed = home.progress(session)
    equal, compared = checks.bars_match(
        day.ticks_once(ticks), bronze, settled=settled, closed=closed, venue=home.venue()
    )
    key = ("instrument", "interval", "ts")
    findings = [
        checks.schema(stored.schema, arrow_schema(CLEAN_BARS_V1)),
        checks.conserved(bronze.num_rows, stored.num_rows, day.repeated_bars(bronze)),
        checks.unique("clean_key", stored, key),
        checks.unique("source_key", bronze, BARS_V1.key),
        checks.ohlc(stored),
        checks.gaps(lake.read(CLEAN_TICKS_V1, session), stored),
        equal,
    ]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(f"v{version}"),
        check_results=[result(finding, table_key(CLEAN_BARS_V1)) for finding in findings],
        metadata={
            "dagster/partition_row_count": stored.num_rows,
            "bars": stored.num_rows,
            "revisions": bronze.num_rows - stored.num_rows,
            "bars_not_from_ticks": compared.wrong,
            "mismatches": table(compared.mismatches),
            "prices": dg.MetadataValue.md(plots.price_chart(stored)),
        },
    )
