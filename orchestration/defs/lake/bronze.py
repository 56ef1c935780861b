"""Bronze tables: external assets, because only the sinks of the streaming process write them."""

from datetime import timedelta

import dagster as dg

from orchestration.catalog import LAKE, ORDERS_OWNER, OWNER, by_layer, table_key, table_metadata, topic_key
from trading.schemas import (
    BARS,
    BARS_V1,
    FILLS_V1,
    FRAMES_V1,
    JOURNAL_V1,
    ORDERS_JOURNAL,
    POSITIONS_V1,
    TICKS,
    TICKS_RAW,
    TICKS_V1,
    Table,
)

_ORDERS = dict.fromkeys((JOURNAL_V1.name, FILLS_V1.name, POSITIONS_V1.name), ORDERS_JOURNAL)
_CAUSES = {TICKS_V1.name: TICKS, BARS_V1.name: BARS, FRAMES_V1.name: TICKS_RAW} | _ORDERS
# Orders come when somebody trades, market data always: only that must be fresh. The sinks commit each 10 s, and the
# sensor looks each minute.
_FRESH = dg.FreshnessPolicy.time_window(warn_window=timedelta(minutes=5), fail_window=timedelta(minutes=15))


def _spec(table: Table) -> dg.AssetSpec:
    return dg.AssetSpec(
        table_key(table),
        deps=[topic_key(_CAUSES[table.name])],
        group_name=LAKE,
        description=table.description,
        owners=[ORDERS_OWNER if table.name in _ORDERS else OWNER],
        kinds={"deltalake"},
        tags={"stage": LAKE, "layer": table.layer},
        metadata=table_metadata(table),
        freshness_policy=None if table.name in _ORDERS else _FRESH,
    )


@dg.definitions
def bronze() -> dg.Definitions:
    """Return the bronze tables."""
    return dg.Definitions(assets=[_spec(table) for table in by_layer("bronze")])
