"""Names that the definitions share: keys, groups, owners, partitions, and tables as Dagster shows them.

Holds no definition itself, so that a module of `defs/` may import it without defining anything twice.
"""

from collections.abc import Mapping

import dagster as dg

from trading.schemas import TABLES, Table, Topic

OWNER, ORDERS_OWNER = "team:market-data", "team:trading"
STREAMS, LAKE = "streams", "lake"
POOL = "lake_write"
FIRST_DAY = "1998-01-01"
# Today's partition is in the set, because a day is cleaned again and again while it grows.
DAYS = dg.DailyPartitionsDefinition(start_date=FIRST_DAY, end_offset=1)

_NOTES: Mapping[str, str] = {
    "date": "Session date, local to the exchange; the Delta partition.",
    "ts": "Event time of a tick; first instant of a bar.",
    "instrument": "SYMBOL.VENUE",
    "kind": "trade or quote",
    "trade_id": "Unique for an instrument and session date; null on quotes.",
    "interval": "1m, 5m, 15m, 1h or 1d",
    "flags": "Bits: GAP 1, CROSS 2, STALE 4, SUSPICIOUS 8, LATE 16, NO_TRADE 32.",
    "revision": "Counts from 0; a late tick makes the next one.",
    "recv_ts": "When the gateway received it.",
    "src_partition": "Partition of the cause, in ticks.raw or orders.journal.",
    "src_offset": "Offset of the cause.",
    "src_row": "Row within the cause.",
    "payload": "The frame or record, byte for byte.",
    "account": "Empty for a record of the whole partition.",
    "seq": "Number of the record in its partition, from 1.",
    "generation": "Offset of the fence under which the owner wrote.",
    "cause": "topic:partition:offset of the command, or the id of a request.",
    "stale": "Written by an owner that had been fenced off: it counts for nothing.",
    "qty": "Of a tick, a float; of a fill or position, an integer in qty_scale.",
    "cost": "Cash in 1e-9; positive for a buy.",
    "cash": "Cash of the account afterwards, in 1e-9.",
}


def feed_key() -> dg.AssetKey:
    """Return the key of the feed itself."""
    return dg.AssetKey([STREAMS, "feed"])


def topic_key(topic: Topic) -> dg.AssetKey:
    """Return the asset key of a topic."""
    return dg.AssetKey([STREAMS, topic.name.replace(".", "_")])


def table_key(table: Table) -> dg.AssetKey:
    """Return the asset key of a lake table."""
    return dg.AssetKey([LAKE, table.name])


def column_schema(table: Table) -> dg.TableSchema:
    """Return the table's columns as Dagster shows them."""
    return dg.TableSchema(
        columns=[dg.TableColumn(name, kind, description=_NOTES.get(name)) for name, kind in table.columns]
    )


def column_lineage(table: Table, source: Table) -> dg.TableColumnLineage:
    """Return where each column comes from: the column of the same name in the source table."""
    names = {name for name, _ in source.columns}
    return dg.TableColumnLineage(
        {
            name: [dg.TableColumnDep(asset_key=table_key(source), column_name=name)]
            for name, _ in table.columns
            if name in names
        }
    )


def table_metadata(table: Table) -> dict[str, object]:
    """Return what is always true of a table: columns, partition column, unique key."""
    return {
        "dagster/column_schema": column_schema(table),
        "dagster/table_name": f"{table.layer}.{table.name}",
        "partition_by": table.partition_by,
        "key": ", ".join(table.key),
    }


def by_layer(layer: str) -> tuple[Table, ...]:
    """Return the tables of one layer."""
    return tuple(table for table in TABLES if table.layer == layer)
