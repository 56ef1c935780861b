"""What starts runs of stage lake: automation for today, a sensor for every other day, a schedule for bronze checks."""

import time
from datetime import UTC, date, datetime

import dagster as dg

from orchestration import due
from orchestration.catalog import FIRST_DAY, by_layer, table_key
from orchestration.home import Home
from trading.schemas import BARS_V1, CLEAN_BARS_V1, CLEAN_TICKS_V1, TICKS_V1

CLEAN_DAY = dg.define_asset_job(
    "clean_day",
    selection=[table_key(CLEAN_TICKS_V1), table_key(CLEAN_BARS_V1)],
    description="Clean one day of ticks and bars, with every check.",
)
CHECK_BRONZE = dg.define_asset_job(
    "check_bronze",
    selection=dg.AssetSelection.checks_for_assets(*(table_key(table) for table in by_layer("bronze"))),
    description="Check the tables that the sinks write: columns, offset ranges, rows, freshness.",
)


@dg.sensor(
    job=CLEAN_DAY,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Finds days, other than today, whose bronze rows changed since they were cleaned.",
)
def clean_other_days(context: dg.SensorEvaluationContext, home: Home) -> dg.SensorResult | dg.SkipReason:
    """Ask for a run of each day that is missing or has changed."""
    lake = home.lake()
    today = datetime.now(UTC).date()
    rows: dict[str, int] = {}
    for table in (TICKS_V1, BARS_V1):
        for session, count in lake.rows_by_date(table).items():
            if date.fromisoformat(FIRST_DAY) <= session < today:
                rows[session.isoformat()] = rows.get(session.isoformat(), 0) + count
    days, seen = due.decide(due.load(context.cursor), rows, time.time())
    if not days:
        context.update_cursor(due.dump(seen))
        return dg.SkipReason(f"{len(rows)} days besides today are in the lake, and none is due.")
    requests = [dg.RunRequest(run_key=f"{day}:{rows[day]}", partition_key=day) for day in days]
    return dg.SensorResult(run_requests=requests, cursor=due.dump(seen))


@dg.definitions
def automation() -> dg.Definitions:
    """Return the jobs and what starts them, switched on."""
    checks = dg.ScheduleDefinition(
        name="check_bronze_each_10_minutes",
        job=CHECK_BRONZE,
        cron_schedule="5-59/10 * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Between two cleanings, so that runs do not pile up.",
    )
    conditions = dg.AutomationConditionSensorDefinition(
        "automation",
        target=dg.AssetSelection.all(),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=30,
        description="Evaluates the automation conditions of every asset.",
    )
    return dg.Definitions(jobs=[CLEAN_DAY, CHECK_BRONZE], schedules=[checks], sensors=[conditions, clean_other_days])
