"""DuckDB runs in memory, in UTC, and fetches nothing."""

from datetime import UTC, datetime

import duckdb
import pyarrow as pa
import pytest

from orchestration.sql import query, row, rows


def test_times_stay_utc() -> None:
    at = datetime(2024, 1, 1, 23, 30, tzinfo=UTC)
    table = pa.table({"ts": pa.array([at], pa.timestamp("us", "UTC"))})
    assert query("select ts from t", t=table).schema.field("ts").type == pa.timestamp("us", "UTC")
    assert row("select ts::date::varchar as day from t", t=table) == {"day": "2024-01-01"}


def test_one_row_means_one_row() -> None:
    assert rows("select unnest([1, 2]) as n") == [{"n": 1}, {"n": 2}]
    with pytest.raises(ValueError, match="too many"):
        row("select unnest([1, 2]) as n")


def test_an_extension_is_not_fetched() -> None:
    with pytest.raises(duckdb.Error):
        query("select * from delta_scan('nowhere')")
