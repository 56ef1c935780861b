"""DuckDB over Arrow tables in memory. Nothing is downloaded, and time is UTC."""

from typing import Any

import pyarrow as pa

# A missing extension must fail at once, with its name, and not reach for the network.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "threads": "2",
}


def query(sql: str, **tables: pa.Table) -> pa.Table:
    """Run one query over the named tables and return its rows."""
    import duckdb

    with duckdb.connect(config=_CONFIG) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for name, table in tables.items():
            connection.register(name, table)
        return connection.sql(sql).to_arrow_table()


def rows(sql: str, **tables: pa.Table) -> list[dict[str, Any]]:
    """Run one query and return its rows as dicts."""
    return list(query(sql, **tables).to_pylist())


def row(sql: str, **tables: pa.Table) -> dict[str, Any]:
    """Run one query of exactly one row and return it."""
    (only,) = rows(sql, **tables)
    return only
