"""The lake as the definitions use it: a table that does not exist yet is empty, and a table's size is one version's."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from streaming.adapters.lake import Lake, LakeError, OffsetRange, arrow_schema
from trading.schemas import Table

FOREIGN = "TABLE_SCHEMA_MISMATCH"
# A sink commits each 10 s, so a second look nearly always finds the table at rest.
STABLE_ATTEMPTS = 5


class Size(NamedTuple):
    """What a table is made of."""

    rows: int = 0
    files: int = 0
    bytes: int = 0


class State(NamedTuple):
    """Rows and offset ranges of one version, and where the ranges do not tile."""

    version: int | None
    rows: int
    ranges: Sequence[OffsetRange]
    faults: Sequence[str]

    @property
    def rows_in_ranges(self) -> int:
        """Return the rows that the commits took from their sources."""
        return sum(each.source.rows for each in self.ranges)

    @property
    def taken(self) -> dict[str, int]:
        """Return topic-partition -> the offset after the last one taken."""
        ends: dict[str, int] = {}
        for each in self.ranges:
            ends[each.source.app] = max(ends.get(each.source.app, 0), each.source.last + 1)
        return ends


class LakeIO:
    """Reads of any table, and whole-partition writes of clean ones."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def version(self, table: Table) -> int | None:
        """Return the newest version, or None where the table does not exist."""
        return self._lake.version(table) if self._lake.exists(table) else None

    def foreign(self, table: Table) -> str | None:
        """Return what is wrong with the columns on the disk, or None if they are the declared ones."""
        try:
            self.version(table)
        except LakeError as error:
            if error.code != FOREIGN:
                raise
            return str(error)
        return None

    def read(self, table: Table, day: date) -> pa.Table:
        """Return the rows of one date; none where the table does not exist."""
        if not self._lake.exists(table):
            return arrow_schema(table).empty_table()
        return self._lake.read(table, dates=[day])

    def whole(self, table: Table) -> pa.Table:
        """Return all rows; none where the table does not exist."""
        return self._lake.read(table) if self._lake.exists(table) else arrow_schema(table).empty_table()

    def replace(self, table: Table, day: date, rows: pa.Table) -> int:
        """Replace the rows of one date, whole or not at all; return the version."""
        self._lake.ensure(table)
        return self._lake.replace_partition(table, day, rows).version

    def rows_by_date(self, table: Table) -> dict[date, int]:
        """Return the rows of each date, ascending."""
        return self._lake.rows_by_date(table) if self._lake.exists(table) else {}

    def size(self, table: Table) -> Size:
        """Return rows, files and bytes."""
        if not self._lake.exists(table):
            return Size()
        paths = [Path(path) for path in self._lake.files(table)]
        return Size(self._lake.rows(table), len(paths), sum(path.stat().st_size for path in paths if path.exists()))

    def state(self, table: Table) -> State:
        """Return rows and ranges of one version, although the sinks go on committing."""
        for _ in range(STABLE_ATTEMPTS):
            version = self.version(table)
            if version is None:
                return State(None, 0, (), ())
            state = State(
                version, self._lake.rows(table), self._lake.offset_ranges(table), self._lake.range_faults(table)
            )
            if self.version(table) == version:
                return state
        raise LakeError("TABLE_BUSY", f"{table.name}: a new version each time it is read", retriable=True)

    def newest_ns(self, table: Table, until: date | None = None) -> int | None:
        """Return the newest `ts` of the last date that is not after `until`, from the statistics of its files."""
        import pyarrow.parquet as pq

        days = [day for day in self.rows_by_date(table) if until is None or day <= until]
        newest: int | None = None
        for path in self._lake.files(table, days[-1:]) if days else ():
            found = pq.read_metadata(path)
            index = found.schema.to_arrow_schema().get_field_index("ts")
            for group in range(found.num_row_groups):
                statistics = found.row_group(group).column(index).statistics
                if statistics is not None and statistics.has_min_max:
                    newest = max(newest or 0, pa.scalar(statistics.max, pa.timestamp("ns", "UTC")).value)
        return newest

    def compact(self, table: Table) -> int:
        """Compact every date of the table; return how many files went away."""
        return sum(self._lake.compact(table, day) for day in self.rows_by_date(table))

    def vacuum(self, table: Table) -> int:
        """Delete files that left the table a week ago; return how many."""
        return len(self._lake.vacuum(table)) if self._lake.exists(table) else 0

    def histogram(self, table: Table) -> dict[str, int]:
        """Return the number of files in each class of size."""
        return self._lake.size_histogram(table) if self._lake.exists(table) else {}
