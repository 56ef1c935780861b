"""Commits: whole before they have a name, one writer for each version, and what deltalake reads of them."""

import json
from pathlib import Path

import deltalake
import pytest

from streaming.adapters.lake import Disk, Lake, LakeError
from streaming.adapters.lake_commit import LogTail, content, is_append
from streaming.adapters.lake_files import DataFile, commit_path, write_data
from tests.streaming.adapters.lake_rows import DAY, TINY, put, rows, wanted

FILE = DataFile(f"date={DAY}/part-1.parquet", DAY.isoformat(), 10, 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a table with one commit after its creation."""
    lake = Lake(tmp_path)
    put(lake, 0)
    return lake.path(TINY)


def test_a_commit_says_what_it_does() -> None:
    """Its first line counts the others, so that a cut file is recognised."""
    text = content([FILE], [FILE], {"note": 1}, {"ticks-0": 7}, changes_data=False)
    info, add, remove, txn = (json.loads(line) for line in text.decode().splitlines())
    assert info["commitInfo"]["trade"] == {"actions": 3, "note": 1}
    assert (add["add"]["path"], add["add"]["dataChange"]) == (FILE.path, False)
    assert json.loads(add["add"]["stats"]) == {"numRecords": 2}
    assert remove["remove"]["partitionValues"] == {"date": "2024-03-01"}
    assert txn == {"txn": {"appId": "ticks-0", "version": 7}}


def test_deltalake_reads_our_commits(folder: Path) -> None:
    """Rows, transactions, removed files, and the history, as of a table of its own."""
    disk = Disk()
    tail = LogTail(folder, 1, disk)
    added = write_data(folder, rows(1, 2), disk)
    assert tail.publish(content(added, [], {}, {"app": 5}, changes_data=True))
    merged = write_data(folder, rows(1, 2), disk, compacted=True)
    assert tail.publish(content(merged, added, {}, {}, changes_data=False))
    table = deltalake.DeltaTable(folder)
    assert table.version() == tail.version == 3
    assert table.transaction_version("app") == 5
    assert sorted(table.to_pyarrow_table()["src_offset"].to_pylist()) == [0, 0, 1, 1, 2, 2]
    assert [entry["operation"] for entry in table.history(2)] == ["OPTIMIZE", "WRITE"]


def test_deltalake_appends_beside_us(folder: Path) -> None:
    """A foreign writer's commit is seen, and stood on."""
    deltalake.write_deltalake(folder, rows(1), mode="append")
    lake = Lake(folder.parents[1])
    put(lake, 2)
    deltalake.write_deltalake(folder, rows(3), mode="append")
    put(lake, 4)
    assert lake.rows(TINY) == len(wanted(range(5)))


def test_a_version_has_one_writer(folder: Path) -> None:
    """The second one is told, catches up, and takes the next; it knows the other's transactions."""
    first, second = LogTail(folder, 1, Disk()), LogTail(folder, 1, Disk())
    assert first.publish(content([], [], {}, {"app": 5}, changes_data=True))
    text = content([], [], {}, {}, changes_data=True)
    assert not second.publish(text)
    found = second.catch_up()
    assert found is not None
    assert [is_append(actions) for actions in found] == [True]
    assert second.applied == {"app": 5}
    assert second.publish(text)
    assert (first.version, second.version) == (2, 3)
    assert not list((folder / "_delta_log").glob("*.tmp"))


def test_a_name_that_is_free_because_it_was_archived_is_not_taken(folder: Path) -> None:
    """The log has moved on without this writer."""
    tail = LogTail(folder, 1, Disk())
    commit_path(folder, 1).unlink()
    assert not tail.publish(content([], [], {}, {}, changes_data=True))
    assert tail.catch_up() is None
    assert not commit_path(folder, 2).exists()


def test_a_commit_that_finds_no_space_leaves_nothing(folder: Path) -> None:
    """Neither its name nor its draft."""

    class Full(Disk):
        def sync(self, path: Path) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        LogTail(folder, 1, Full()).publish(content([], [], {}, {}, changes_data=True))
    assert not commit_path(folder, 2).exists()
    assert not list((folder / "_delta_log").glob("*.tmp"))


def test_a_broken_commit_of_another_writer_is_named(folder: Path) -> None:
    """It is not stood on."""
    tail = LogTail(folder, 1, Disk())
    commit_path(folder, 2).write_text("{")
    with pytest.raises(LakeError, match=r"00002\.json") as caught:
        tail.catch_up()
    assert caught.value.code == "LOG_BROKEN"


@pytest.mark.parametrize(("name", "appends"), [("add", True), ("txn", True), ("remove", False), ("metaData", False)])
def test_only_appends_leave_a_rewrite_alone(name: str, appends: bool) -> None:
    """Anything else means that its files may be gone."""
    assert is_append([{"commitInfo": {}}, {name: {}}]) is appends
