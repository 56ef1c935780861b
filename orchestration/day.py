"""One day of bronze rows to one day of clean rows. Pure: a rerun on the same rows gives the same table."""

from dataclasses import dataclass

import pyarrow as pa

from orchestration.sql import query, row

# A message that was worked twice gives the same source key; a print that came twice gives the same trade id.
_TICKS = """
with sourced as (
    select *, row_number() over (partition by src_partition, src_offset, src_row) as copy from bronze
), printed as (
    select *, case when trade_id is null then 1 else row_number() over (
        partition by instrument, kind, date, trade_id order by src_partition, src_offset, src_row) end as print
    from sourced where copy = 1
)
select * exclude (copy, print) from printed where print = 1
order by instrument, ts, trade_id nulls last, src_partition, src_offset, src_row
"""
_BARS = """
select * exclude (src_partition, src_offset, src_row) from bronze
qualify row_number() over (
    partition by instrument, "interval", ts order by revision desc, src_partition, src_offset, src_row) = 1
order by instrument, ts, "interval"
"""

_REPEATED_TICKS = """
with sources as (
    select any_value(instrument) as instrument, any_value(kind) as kind, any_value(date) as date,
        any_value(trade_id) as trade_id
    from bronze group by src_partition, src_offset, src_row
)
select count(*) as sources,
    count(trade_id) - count(distinct (instrument, kind, date, trade_id)) filter (trade_id is not null) as prints
from sources
"""
_BARS_ONCE = """select count(distinct (instrument, "interval", ts)) as n from bronze"""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A clean table and how it came about: rows read, and rows left out because they say the same again."""

    table: pa.Table
    rows_in: int
    dropped: int


def clean_ticks(bronze: pa.Table, schema: pa.Schema) -> Cleaned:
    """Return each tick once, in order of (instrument, ts, trade_id); the first source wins."""
    return _cleaned(query(_TICKS, bronze=bronze), bronze, schema)


def clean_bars(bronze: pa.Table, schema: pa.Schema) -> Cleaned:
    """Return the latest revision of each bar, in order of (instrument, interval, ts)."""
    return _cleaned(query(_BARS, bronze=bronze), bronze, schema)


def ticks_once(bronze: pa.Table) -> pa.Table:
    """Return each tick once, with its source."""
    return query(_TICKS, bronze=bronze)


def prints(ticks: pa.Table) -> pa.Table:
    """Return the ticks that carry a trade id; quotes carry none."""
    return ticks.filter(ticks["trade_id"].is_valid())


def repeated_ticks(bronze: pa.Table) -> int:
    """Count the rows that cleaning must leave out, by another way than cleaning itself."""
    found = row(_REPEATED_TICKS, bronze=bronze)
    return int(bronze.num_rows - found["sources"] + found["prints"])


def repeated_bars(bronze: pa.Table) -> int:
    """Count the rows of bars that are not the only one of their bar."""
    return int(bronze.num_rows - row(_BARS_ONCE, bronze=bronze)["n"])


def _cleaned(found: pa.Table, bronze: pa.Table, schema: pa.Schema) -> Cleaned:
    table = found.select(schema.names).cast(schema)
    return Cleaned(table, bronze.num_rows, bronze.num_rows - table.num_rows)
