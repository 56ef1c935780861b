"""Data files and the checks of the log's files."""

import errno
import json
from pathlib import Path

import pytest

from streaming.adapters.lake import Disk, LakeError, arrow_schema
from streaming.adapters.lake_files import (
    checkpoints,
    commits,
    is_disk_full,
    read_commit,
    torn_commits,
    write_atomic,
    write_data,
)
from tests.streaming.adapters.lake_rows import DAY, NEXT_DAY, rows
from trading.schemas import FRAMES_V1, TABLES


def test_times_are_microseconds_in_utc() -> None:
    """In every table."""
    for table in TABLES:
        schema = arrow_schema(table)
        assert [field.name for field in schema] == [name for name, _ in table.columns]
        assert {str(schema.field(name).type) for name, kind in table.columns if kind == "timestamp"} == {
            "timestamp[us, tz=UTC]"
        }
    assert str(arrow_schema(FRAMES_V1).field("payload").type) == "binary"


def test_rows_become_one_file_for_each_date(tmp_path: Path) -> None:
    """The date is the folder and not a column."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    both = pa.concat_tables([rows(1, day=NEXT_DAY), rows(2, 3)])
    written = write_data(tmp_path, both, Disk())
    assert [(file.date, file.rows) for file in written] == [(DAY.isoformat(), 4), (NEXT_DAY.isoformat(), 2)]
    for file in written:
        found = pq.ParquetFile(tmp_path / file.path)
        assert "date" not in found.schema_arrow.names
        assert (tmp_path / file.path).stat().st_size == file.size


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    """Space is what is missing when writes fail."""

    class Full(Disk):
        def sync(self, path: Path) -> None:
            if path.suffix == ".parquet":
                raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_data(tmp_path, rows(1, 2), Full())
    assert not list(tmp_path.rglob("*.parquet"))


@pytest.mark.parametrize(
    ("error", "is_full"),
    [
        (OSError(errno.ENOSPC, ""), True),
        (OSError(errno.EDQUOT, ""), True),
        (OSError("Generic LocalFileSystem error: No space left on device (os error 28)"), True),
        (OSError(errno.EIO, "Input/output error"), False),
        (ValueError("no"), False),
    ],
)
def test_a_full_disk_is_recognised(error: Exception, is_full: bool) -> None:
    """However Python, Arrow or Delta say it."""
    assert is_disk_full(error) is is_full


def commit(actions: int, present: int) -> str:
    """Return a commit file that announces a number of actions and holds another."""
    lines = [{"commitInfo": {"trade": {"actions": actions}}}, *({"txn": {}} for _ in range(present))]
    return "\n".join(map(json.dumps, lines))


@pytest.mark.parametrize(
    ("text", "is_sound"),
    [
        (commit(2, 2), True),
        (commit(2, 1), False),
        ('{"protocol": {}}\n{"metaData": {}}', True),
        ("", False),
        ("\n", False),
        ('{"commitInfo": {', False),
        ("[1]", False),
    ],
)
def test_a_commit_file_is_sound_or_torn(tmp_path: Path, text: str, is_sound: bool) -> None:
    """A commit of another program has no count and only needs to be JSON."""
    path = tmp_path / "commit"
    path.write_text(text)
    assert (read_commit(path) is not None) is is_sound


def test_only_the_end_of_the_log_may_be_torn(tmp_path: Path) -> None:
    """One or several last commits; a sound one behind a torn one is LOG_BROKEN."""
    log = tmp_path / "_delta_log"
    log.mkdir()
    for version, text in enumerate([commit(0, 0), commit(0, 0), "", ""]):
        (log / f"{version:020d}.json").write_text(text)
    assert torn_commits(tmp_path) == [2, 3]
    (log / f"{4:020d}.json").write_text(commit(0, 0))
    with pytest.raises(LakeError, match=r"00002\.json"):
        torn_commits(tmp_path)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """And no draft stays."""
    path = tmp_path / "ranges.json"
    write_atomic(path, b"old", Disk())
    write_atomic(path, b"new", Disk())
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_where_a_file_is_in_the_way_there_is_no_table(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("no folder")
    assert (commits(home / "lake"), checkpoints(home / "lake")) == ([], [])
