"""A small table and rows for tests of the lake: two rows for each raw message."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from streaming.adapters.lake import Lake, SourceRange, arrow_schema
from trading.schemas import Table

DAY = date(2024, 3, 1)
NEXT_DAY = date(2024, 3, 2)
STEPS = ("data_synced", "committed", "commit_synced", "checkpoint_written", "checkpointed", "archived")
TINY = Table(
    name="tiny_v1",
    columns=(
        ("date", "date32"),
        ("ts", "timestamp"),
        ("instrument", "string"),
        ("src_partition", "int32"),
        ("src_offset", "int64"),
        ("src_row", "int32"),
    ),
    partition_by="date",
    key=("src_partition", "src_offset", "src_row"),
    layer="bronze",
    description="A table for tests.",
)
SCHEMA = arrow_schema(TINY)


def rows(*offsets: int, day: date = DAY, partition: int = 0) -> pa.Table:
    """Return two rows for each raw offset."""
    start = datetime(day.year, day.month, day.day, 14, tzinfo=UTC)
    return pa.Table.from_pylist(
        [
            {
                "date": day,
                "ts": start - timedelta(seconds=offset),
                "instrument": "AB"[offset % 2],
                "src_partition": partition,
                "src_offset": offset,
                "src_row": row,
            }
            for offset in offsets
            for row in range(2)
        ],
        schema=SCHEMA,
    )


def span(first: int, last: int | None = None, *, partition: int = 0) -> SourceRange:
    """Return the range of offsets first to last; raw offsets are the same numbers."""
    last = first if last is None else last
    return SourceRange(
        topic="ticks", partition=partition, first=first, last=last, rows=2 * (last - first + 1), raw={partition: last}
    )


def put(lake: Lake, first: int, last: int | None = None, *, day: date = DAY, partition: int = 0) -> bool:
    """Append the rows of a range; tell whether they were written."""
    last = first if last is None else last
    content = rows(*range(first, last + 1), day=day, partition=partition)
    return lake.append(TINY, content, [span(first, last, partition=partition)]).written


def keys(lake: Lake) -> list[tuple[int, int, int]]:
    """Return the keys of all rows, sorted; a duplicate shows as two equal keys."""
    table = lake.read(TINY, columns=list(TINY.key))
    return sorted(zip(*(table[name].to_pylist() for name in TINY.key), strict=True))


def wanted(offsets: Sequence[int] | range, partition: int = 0) -> list[tuple[int, int, int]]:
    """Return the keys that the rows of these raw offsets must have."""
    return sorted((partition, offset, row) for offset in offsets for row in range(2))


def log_files(lake: Lake) -> list[Path]:
    """Return the commit files that lie in the Delta log, ascending."""
    return sorted((lake.path(TINY) / "_delta_log").glob("*.json"))
