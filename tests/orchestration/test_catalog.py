"""Keys, columns and days as everything else relies on them."""

from datetime import UTC, datetime

import dagster as dg

from orchestration.catalog import DAYS, by_layer, column_lineage, column_schema, feed_key, table_key, topic_key
from trading.schemas import CLEAN_TICKS_V1, TABLES, TICKS_RAW, TICKS_V1


def test_keys() -> None:
    assert feed_key().to_user_string() == "streams/feed"
    assert topic_key(TICKS_RAW).to_user_string() == "streams/ticks_raw"
    assert table_key(TICKS_V1).to_user_string() == "lake/ticks_v1"
    assert {table for layer in ("bronze", "clean") for table in by_layer(layer)} == set(TABLES)


def test_today_and_the_oldest_session_are_days() -> None:
    with dg.partition_loading_context(effective_dt=datetime(2026, 3, 5, 0, 0, 1, tzinfo=UTC)):
        assert DAYS.get_last_partition_key() == "2026-03-05"
    assert DAYS.get_first_partition_key() == "1998-01-01"


def test_columns_and_where_they_come_from() -> None:
    assert [column.name for column in column_schema(TICKS_V1).columns] == [name for name, _ in TICKS_V1.columns]
    lineage = column_lineage(CLEAN_TICKS_V1, TICKS_V1).deps_by_column
    assert set(lineage) == {name for name, _ in CLEAN_TICKS_V1.columns}
    assert lineage["price"][0].asset_key == table_key(TICKS_V1)
