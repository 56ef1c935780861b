"""What a reader asks of the lake: rows, files, counts and offset ranges of the newest version, beside the writer."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from streaming.adapters import lake_history as history
from streaming.adapters.lake_files import DataFile, arrow_schema
from streaming.adapters.lake_history import OffsetRange
from trading.schemas import Table

if TYPE_CHECKING:
    from pyarrow import compute as pc
    from pyarrow import dataset as pads

READ_ATTEMPTS = 5
READ_RETRY_S = 0.05
_SIZE_STEPS = ((64 << 10, "<64KiB"), (1 << 20, "<1MiB"), (16 << 20, "<16MiB"), (128 << 20, "<128MiB"))

T = TypeVar("T")


class LakeReads(ABC):
    """The reading half of the lake. The other half says where a table lies and which files are in it."""

    @abstractmethod
    def path(self, table: Table) -> Path:
        """Return the folder of a table."""

    @abstractmethod
    def _files(self, table: Table) -> list[DataFile]: ...

    def read(
        self,
        table: Table,
        columns: Sequence[str] | None = None,
        dates: Sequence[date] | None = None,
        where: "pc.Expression | None" = None,
    ) -> pa.Table:
        """Return rows of the newest version: all, or those of `dates` that pass `where`."""

        def scan() -> pa.Table:
            return self.dataset(table, dates).to_table(columns=None if columns is None else list(columns), filter=where)

        return retry_read(scan)

    def dataset(self, table: Table, dates: Sequence[date] | None = None) -> "pads.Dataset":
        """Return an Arrow dataset of the newest version's files, for DuckDB and Polars."""
        # Not at the top, because it imports pandas, and streaming workers only write.
        from pyarrow import dataset as pads

        layout = pads.partitioning(pa.schema([(table.partition_by, pa.date32())]), flavor="hive")
        folder = str(self.path(table))
        paths = self.files(table, dates)
        return pads.dataset(
            paths, schema=arrow_schema(table), format="parquet", partitioning=layout, partition_base_dir=folder
        )

    def files(self, table: Table, dates: Sequence[date] | None = None) -> list[str]:
        """Return the paths of the newest version's data files (all dates or some); `date` is a hive folder."""
        wanted = None if dates is None else {day.isoformat() for day in dates}
        found = self._files(table)
        return [str(self.path(table) / file.path) for file in found if wanted is None or file.date in wanted]

    def rows(self, table: Table) -> int:
        """Return the number of rows, from the log alone."""
        return sum(file.rows for file in self._files(table))

    def rows_by_date(self, table: Table) -> dict[date, int]:
        """Return the number of rows of each date, ascending, from the log alone."""
        counts: dict[date, int] = {}
        for file in sorted(self._files(table), key=lambda file: file.date):
            day = date.fromisoformat(file.date)
            counts[day] = counts.get(day, 0) + file.rows
        return counts

    def dates(self, table: Table) -> list[date]:
        """Return the dates that have rows, ascending."""
        return list(self.rows_by_date(table))

    def size_histogram(self, table: Table) -> dict[str, int]:
        """Return the number of data files in each step of size."""
        sizes = [file.size for file in self._files(table)]
        labels = [next((label for step, label in _SIZE_STEPS if size < step), ">=128MiB") for size in sizes]
        return {label: labels.count(label) for label in (*(label for _, label in _SIZE_STEPS), ">=128MiB")}

    def offset_ranges(self, table: Table) -> list[OffsetRange]:
        """Return the offsets that each commit took from its sources, in order, over the whole life of the table."""
        return history.offset_ranges(self.path(table))

    def range_faults(self, table: Table) -> list[str]:
        """Return one line for each gap or overlap between the offset ranges of a source; empty means they tile."""
        return history.range_faults(self.offset_ranges(table))


def retry_read(read: Callable[[], T], gone: tuple[type[Exception], ...] = (FileNotFoundError,)) -> T:
    """Read again when a checkpoint, compaction or vacuum took a file away in the middle; `gone` are such errors."""
    for attempt in range(READ_ATTEMPTS):
        try:
            return read()
        except gone:
            if attempt == READ_ATTEMPTS - 1:
                raise
            time.sleep(READ_RETRY_S)
    raise AssertionError("the last attempt returns or raises")
