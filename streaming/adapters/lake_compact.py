"""How small files of one date become one sorted file: which are chosen, how they are read, in which order they lie."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from streaming.adapters.lake_files import COMPACTED_PREFIX, DataFile, LakeError, arrow_schema
from trading.schemas import Table

TARGET_BYTES = 128 << 20
INPUT_BYTES = 256 << 20


def choose(found: Sequence[DataFile]) -> list[DataFile]:
    """Choose small files up to a bounded sum of bytes; nothing if only one, already sorted, is left."""
    chosen: list[DataFile] = []
    total = 0
    for file in sorted(found):
        if file.size < TARGET_BYTES and (not chosen or total + file.size <= INPUT_BYTES):
            chosen.append(file)
            total += file.size
    is_sorted = len(chosen) == 1 and Path(chosen[0].path).name.startswith(COMPACTED_PREFIX)
    return [] if is_sorted else chosen


def sort_columns(table: Table) -> Sequence[str]:
    """Return the columns that the rows of one file are sorted by."""
    names = [name for name, _ in table.columns]
    wanted = ("instrument", "ts", "trade_id") if "trade_id" in names else ("instrument", "ts", "interval", "revision")
    return [name for name in wanted if name in names] or ("src_partition", "src_offset", "src_row")


def read_rows(folder: Path, table: Table, chosen: Sequence[DataFile], day: date) -> pa.Table:
    """Return the rows of data files of one date; raise ROWS_DIFFER if the log counted others."""
    schema = arrow_schema(table)
    parts = [pq.ParquetFile(folder / file.path).read() for file in chosen]
    merged = pa.concat_tables(parts)
    days = pa.array([day], pa.date32()).take(pa.nulls(merged.num_rows, pa.int32()).fill_null(0))
    merged = merged.append_column(table.partition_by, days).select(schema.names).cast(schema)
    if merged.num_rows != sum(file.rows for file in chosen):
        raise LakeError("ROWS_DIFFER", f"{table.name} {day}: files hold {merged.num_rows} rows, the log says other")
    return merged
