"""The sensor that looks each minute: it records what topics and bronze tables are at, checks these, starts no run."""

import time
from collections.abc import Mapping
from typing import Any

import dagster as dg

from orchestration.bronze import findings
from orchestration.catalog import by_layer, feed_key, table_key, topic_key
from orchestration.home import Home
from orchestration.lake_io import FOREIGN, LakeIO
from orchestration.observe import Cursor, feed_figures, topic_ends, topic_figures
from orchestration.report import evaluation
from streaming.adapters.lake import LakeError
from trading.schemas import ORDERS_COMMANDS, ORDERS_JOURNAL, TICKS_V1, TOPICS, Table

EVERY_S = 60
DATA_VERSION = "dagster/data_version"

Event = dg.AssetObservation | dg.AssetMaterialization | dg.AssetCheckEvaluation


@dg.sensor(
    name="watch_streams",
    minimum_interval_seconds=EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reads the status page and the Delta logs: what topics and bronze tables are at, and if it adds up.",
)
def watch_streams(context: dg.SensorEvaluationContext, home: Home) -> dg.SensorResult | dg.SkipReason:
    """Record offsets, lag and rates of the topics, and each new Delta version of a bronze table."""
    now_s = time.time()
    before = Cursor.load(context.cursor)
    page, live = home.page()
    raw: Mapping[str, Any] = page.raw if page is not None else {}
    ends = topic_ends(raw)
    tables, versions = _commits(home.lake(), before)
    if not live and not tables and ends == dict(before.ends):
        return dg.SkipReason("The platform is not running, and nothing is new since it stopped.")
    events = tables
    if page is not None:
        events.append(dg.AssetObservation(feed_key(), metadata=dict(feed_figures(raw))))
        for topic in (*TOPICS, ORDERS_COMMANDS, ORDERS_JOURNAL):
            figures = topic_figures(raw, topic.name, before, now_s)
            events.append(dg.AssetObservation(topic_key(topic), metadata=dict(figures)))
    if live:
        events.append(evaluation(home.freshness(), table_key(TICKS_V1)))
    return dg.SensorResult(asset_events=events, cursor=Cursor(now_s, ends, versions).dump())


def _commits(lake: LakeIO, before: Cursor) -> tuple[list[Event], dict[str, int]]:
    events: list[Event] = []
    versions: dict[str, int] = {}
    for table in by_layer("bronze"):
        seen = before.versions.get(table.name)
        try:
            version = lake.version(table)
            if version is not None and version != seen:
                events += _commit(lake, table, version)
        except LakeError as error:
            if error.code == FOREIGN:
                events += _verdicts(lake, table)
            elif not error.retriable:
                raise
            # A table that changes while it is looked at is looked at again in a minute.
            version = seen
        if version is not None:
            versions[table.name] = version
    return events, versions


def _commit(lake: LakeIO, table: Table, version: int) -> list[Event]:
    size = lake.size(table)
    metadata = {"dagster/row_count": size.rows, "files": size.files, "bytes": size.bytes, "version": version}
    made = dg.AssetMaterialization(table_key(table), metadata=metadata, tags={DATA_VERSION: f"v{version}"})
    # Dagster shows a check as not run as soon as its table is newer.
    return [made, *_verdicts(lake, table)]


def _verdicts(lake: LakeIO, table: Table) -> list[Event]:
    return [evaluation(finding, table_key(table), warn=False) for finding in findings(lake, table)]
