"""Files of a lake table on a local disk: durable writes, names, and the check of the last commits after a power cut.

Delta on a local disk never calls fsync. So everything that a reader needs is synced here, files before their folders.
"""

import errno
import json
import logging
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trading.schemas import Table

log = logging.getLogger(__name__)

LOG_FOLDER = "_delta_log"
ASIDE_FOLDER = "_aside"
# The field of a commit's info that is ours; lake_history reads it by this name.
META_KEY = "trade"
COMPACTED_PREFIX = "compact-"
_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.parquet")
_PARQUET_MAGIC = b"PAR1"
_NO_SPACE = ("No space left on device", "os error 28", "Disk quota exceeded", "os error 122")


class LakeError(Exception):
    """A lake operation that failed. `code` is stable; `retriable` says whether the same call may go through later."""

    def __init__(self, code: str, message: str, *, retriable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.retriable = retriable


class Disk:
    """The syncs of one disk. A test passes a recorder in its place."""

    def sync(self, path: Path) -> None:
        """Force a file or a folder to the disk."""
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class DataFile(NamedTuple):
    """One data file of a table: path relative to the table, its date, bytes and rows."""

    path: str
    date: str
    size: int
    rows: int


def arrow_schema(table: Table) -> pa.Schema:
    """Return the exact Arrow schema of a table; times are timestamp[us, UTC]."""
    types = {"timestamp": pa.timestamp("us", "UTC"), "date32": pa.date32()}
    return pa.schema([(name, types.get(kind) or pa.type_for_alias(kind)) for name, kind in table.columns])


def check_rows(table: Table, rows: pa.Table) -> None:
    """Raise ROWS_SCHEMA_MISMATCH unless rows have exactly the columns of the table."""
    if not rows.schema.equals(arrow_schema(table)):
        raise LakeError(
            "ROWS_SCHEMA_MISMATCH", f"{table.name}: the rows to be written have columns {_text(rows.schema)}"
        )


def check_columns(table: Table, found: pa.Schema, partition_by: list[str]) -> None:
    """Raise TABLE_SCHEMA_MISMATCH unless the table on the disk has exactly the wanted columns and partitions."""
    if not found.equals(arrow_schema(table)) or partition_by != [table.partition_by]:
        raise LakeError(
            "TABLE_SCHEMA_MISMATCH",
            f"{table.name} on the disk has columns {_text(found)} by {partition_by}; move its folder away, or give the "
            "new columns a new table version",
        )


def _text(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name}:{field.type}" for field in schema)


def is_disk_full(error: BaseException) -> bool:
    """Tell whether an error of Python, Arrow or Delta means that the disk has no space."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return any(text in str(error) for text in _NO_SPACE)


def write_data(folder: Path, rows: pa.Table, disk: Disk, *, compacted: bool = False) -> list[DataFile]:
    """Write rows as one synced Parquet file for each date; a failed write leaves no file behind."""
    written: list[DataFile] = []
    try:
        # Scalars are taken from the column, because making one from a Python value imports pandas.
        for date in sorted(pc.unique(rows["date"]), key=lambda scalar: scalar.as_py()):
            part = rows.filter(pc.equal(rows["date"], date)).drop_columns(["date"])
            day = date.as_py().isoformat()
            place = folder / f"date={day}"
            if not place.exists():
                place.mkdir(parents=True, exist_ok=True)
                disk.sync(folder)
            name = f"{COMPACTED_PREFIX if compacted else 'part-'}{uuid.uuid4().hex}.parquet"
            written.append(DataFile(f"{place.name}/{name}", day, 0, part.num_rows))
            pq.write_table(part, place / name, compression="zstd", compression_level=1)
            disk.sync(place / name)
            disk.sync(place)
            written[-1] = written[-1]._replace(size=(place / name).stat().st_size)
    except BaseException:
        discard(folder, written)
        raise
    return written


def discard(folder: Path, files: list[DataFile]) -> None:
    """Delete data files that no commit names. What cannot be deleted is harmless."""
    for file in files:
        try:
            (folder / file.path).unlink(missing_ok=True)
        except OSError as error:
            log.warning("orphan data file stays: %s: %s", file.path, error)


def write_atomic(path: Path, content: bytes, disk: Disk) -> None:
    """Replace a file so that after a power cut it holds the old or the new content."""
    draft = path.with_suffix(".tmp")
    draft.write_bytes(content)
    disk.sync(draft)
    draft.replace(path)
    disk.sync(path.parent)


def commit_path(folder: Path, version: int) -> Path:
    """Return the path of one commit file."""
    return folder / LOG_FOLDER / f"{version:020d}.json"


def commits(folder: Path) -> list[int]:
    """Return the versions whose commit files lie in the log, ascending."""
    return _versions(folder, _COMMIT)


def checkpoints(folder: Path) -> list[int]:
    """Return the versions of the checkpoints in the log, ascending."""
    return _versions(folder, _CHECKPOINT)


def checkpoint_path(folder: Path, version: int) -> Path:
    """Return the path of one checkpoint file."""
    return folder / LOG_FOLDER / f"{version:020d}.checkpoint.parquet"


def _versions(folder: Path, pattern: re.Pattern[str]) -> list[int]:
    try:
        names = [path.name for path in (folder / LOG_FOLDER).iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(found[1]) for name in names if (found := pattern.fullmatch(name)))


def read_commit(path: Path) -> list[dict[str, Any]] | None:
    """Return the actions of a commit file, or None if it is empty, cut or not JSON."""
    try:
        actions = [json.loads(line) for line in path.read_text().splitlines()]
    except (UnicodeDecodeError, json.JSONDecodeError):
        return None
    if not actions or not all(isinstance(action, dict) for action in actions):
        return None
    info: dict[str, Any] = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
    wanted = (info.get(META_KEY) or {}).get("actions")
    # A file that is cut at the end of a line still parses; the count in its first line shows what is missing.
    return actions if wanted is None or wanted == len(actions) - 1 else None


def torn_commits(folder: Path) -> list[int]:
    """Return the versions at the end of the log that a power cut has torn; raise LOG_BROKEN if a sound one follows.

    Only commits after the newest checkpoint can be torn: a checkpoint is written after its commits were synced.
    """
    newest = max(checkpoints(folder), default=-1)
    tail = [version for version in commits(folder) if version > newest]
    torn = [version for version in tail if read_commit(commit_path(folder, version)) is None]
    if not torn and tail and _lacks_data(folder, tail[-1]):
        torn = [tail[-1]]
    if torn != tail[len(tail) - len(torn) :]:
        broken = commit_path(folder, torn[0])
        raise LakeError("LOG_BROKEN", f"{broken} cannot be read but later commits can; restore the table's folder")
    return torn


def _lacks_data(folder: Path, version: int) -> bool:
    for action in read_commit(commit_path(folder, version)) or ():
        if "add" in action:
            path = folder / action["add"]["path"]
            if not path.exists() or path.stat().st_size != action["add"]["size"]:
                return True
    return False


def torn_checkpoints(folder: Path) -> Iterator[Path]:
    """Yield checkpoint files, and the pointer to the newest one, that a power cut has torn."""
    for version in checkpoints(folder):
        path = checkpoint_path(folder, version)
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - len(_PARQUET_MAGIC)))
            if size < 2 * len(_PARQUET_MAGIC) or file.read() != _PARQUET_MAGIC:
                yield path
    pointer = folder / LOG_FOLDER / "_last_checkpoint"
    if pointer.exists():
        try:
            version = json.loads(pointer.read_bytes())["version"]
        except (ValueError, KeyError, TypeError):
            yield pointer
        else:
            if not checkpoint_path(folder, version).exists():
                yield pointer


def repair(folder: Path, disk: Disk) -> list[str]:
    """Move torn files of the log aside, newest first, and sync; return their names. The rows are to be replayed."""
    moved = []
    aside = folder / ASIDE_FOLDER
    while torn := [*torn_checkpoints(folder), *(commit_path(folder, v) for v in reversed(torn_commits(folder)))]:
        aside.mkdir(exist_ok=True)
        for path in torn:
            target = aside / f"{path.name}.{uuid.uuid4().hex[:8]}"
            path.rename(target)
            log.error("LAKE_TORN_COMMIT: %s was torn by a crash; moved to %s, its rows will be replayed", path, target)
            moved.append(path.name)
        disk.sync(aside)
        disk.sync(folder / LOG_FOLDER)
    return moved
