"""Tick files, Parquet or CSV, read chunk by chunk and never whole; several files are merged by time."""

import csv
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from streaming.adapters.feed import FeedError
from streaming.adapters.feed_rows import KNOWN_COLUMNS, SAMPLE_CHARS, Rows, Texts, check_columns, to_rows
from streaming.adapters.feed_time import event_clock
from trading.market.batches import Array
from trading.messages import Reject

CHUNK_ROWS = 65_536
CSV_CHUNK_BYTES = 4 << 20
SUFFIXES = (".parquet", ".csv")


@dataclass(slots=True)
class Chunk:
    """Rows in the order of the file, and what could not become a row among them."""

    rows: Rows
    rejects: list[Reject] = field(default_factory=list)


def find_files(path: Path) -> list[Path]:
    """Return the tick files that a path means: itself, or those of a folder by name."""
    found = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES) if path.is_dir() else [path]
    if not found:
        raise FeedError("FEED_FILE_MISSING", f"{path}: no {' or '.join(SUFFIXES)} file in this folder")
    return found


def count_rows(paths: Sequence[Path]) -> int:
    """Return the number of rows of the files; CSV is estimated by its size. A file that cannot be read counts 0."""
    return sum(_count(path) for path in paths)


def read_files(paths: Sequence[Path], texts: Texts) -> Generator[Chunk]:
    """Yield the rows of all files, merged by time when there are several; raise `FeedError`."""
    if len(paths) == 1:
        yield from _read(paths[0], texts)
        return
    cursors = [_Cursor(_read(path, texts)) for path in paths]
    while True:
        alive = [cursor for cursor in cursors if cursor.fill()]
        rejects = [reject for cursor in cursors for reject in cursor.take_rejects()]
        cursors = alive
        if not cursors:
            if rejects:
                yield Chunk(Rows.empty(), rejects)
            return
        horizon = min(int(cursor.key[-1]) for cursor in cursors)
        taken = [cursor.take_until(horizon) for cursor in cursors]
        order = np.argsort(np.concatenate([key for _, key in taken]), kind="stable")
        yield Chunk(Rows.concat([rows for rows, _ in taken]).take(order), rejects)


class _Cursor:
    """The unread rows of one file. `key` is the newest time so far, so that the order of the file is kept."""

    def __init__(self, chunks: Iterator[Chunk]) -> None:
        self._chunks = chunks
        self._rows = Rows.empty()
        self._rejects: list[Reject] = []
        self._newest = -(2**63)
        self.key: Array = np.zeros(0, np.int64)

    def fill(self) -> bool:
        """Read until there are rows; return False when the file has no more."""
        while not len(self.key):
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._rows = chunk.rows
            self._rejects += chunk.rejects
            self.key = event_clock(chunk.rows.ts_ns, self._newest)
            if len(self.key):
                self._newest = int(self.key[-1])
        return True

    def take_until(self, horizon: int) -> tuple[Rows, Array]:
        """Remove and return the rows up to a time, with their keys."""
        cut = int(np.searchsorted(self.key, horizon, side="right"))
        taken = self._rows.take(slice(0, cut)), self.key[:cut]
        self._rows, self.key = self._rows.take(slice(cut, None)), self.key[cut:]
        return taken

    def take_rejects(self) -> list[Reject]:
        """Remove and return what could not be read so far."""
        rejects, self._rejects = self._rejects, []
        return rejects


def _read(path: Path, texts: Texts) -> Iterator[Chunk]:
    if path.suffix not in SUFFIXES:
        raise FeedError("FEED_FILE_UNREADABLE", f"{path}: not a {' or '.join(SUFFIXES)} file")
    try:
        yield from _read_csv(path, texts) if path.suffix == ".csv" else _read_parquet(path, texts)
    except (pa.ArrowException, OSError, UnicodeDecodeError, csv.Error) as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise FeedError(
            "FEED_FILE_UNREADABLE", f"{path}: {reason}. The file is damaged or half written; fetch it again and restart"
        ) from None


def _read_parquet(path: Path, texts: Texts) -> Iterator[Chunk]:
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        kind = check_columns(names, path.name)
        row = 0
        for table in file.iter_batches(CHUNK_ROWS, columns=[name for name in names if name in KNOWN_COLUMNS]):
            yield Chunk(*to_rows(table, kind, texts, path.name, row))
            row += table.num_rows


def _read_csv(path: Path, texts: Texts) -> Iterator[Chunk]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        names = next(csv.reader(file), [])
    kind = check_columns(names, path.name)
    broken: list[Reject] = []

    def refuse(row: pa.csv.InvalidRow) -> str:
        message = f"{path.name}: line {row.number}: {row.actual_columns} columns, {row.expected_columns} expected"
        broken.append(Reject(code="ROW_UNPARSEABLE", message=message, row=row.number, sample=row.text[:SAMPLE_CHARS]))
        return "skip"

    # Read as bytes: Arrow refuses a whole chunk for one value of the wrong type.
    reader = pa.csv.open_csv(
        path,
        read_options=pa.csv.ReadOptions(use_threads=False, block_size=CSV_CHUNK_BYTES),
        parse_options=pa.csv.ParseOptions(invalid_row_handler=refuse),
        convert_options=pa.csv.ConvertOptions(
            column_types={name: pa.binary() for name in names},
            include_columns=[name for name in names if name in KNOWN_COLUMNS],
            strings_can_be_null=True,
            null_values=[""],
        ),
    )
    row = 0
    for table in reader:
        rows, rejects = to_rows(table, kind, texts, path.name, row)
        yield Chunk(rows, broken + rejects)
        broken.clear()
        row += table.num_rows
    if broken:
        yield Chunk(Rows.empty(), broken)


def _count(path: Path) -> int:
    try:
        if path.suffix == ".parquet":
            return int(pq.read_metadata(path).num_rows)
        with path.open("rb") as file:
            head = file.read(1 << 16)
        return int(path.stat().st_size / max(1.0, len(head) / max(1, head.count(b"\n"))))
    except (pa.ArrowException, OSError):
        return 0
