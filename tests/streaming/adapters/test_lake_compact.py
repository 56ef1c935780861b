"""Compaction and whole-partition replacement: rows stay, whoever writes at the same time."""

import os
import threading
import time
from pathlib import Path

import pytest

from streaming.adapters.lake import Lake, LakeError
from streaming.adapters.lake_compact import INPUT_BYTES, TARGET_BYTES, choose, sort_columns
from streaming.adapters.lake_files import DataFile
from tests.streaming.adapters.lake_rows import DAY, NEXT_DAY, TINY, keys, put, rows, wanted
from trading.schemas import BARS_V1, FRAMES_V1, TICKS_V1


def test_small_files_become_one_sorted_file(tmp_path: Path) -> None:
    """Sorted by instrument and time; other dates stay; a second call does nothing."""
    lake = Lake(tmp_path)
    for offset in range(8):
        put(lake, offset)
    put(lake, 8, day=NEXT_DAY)
    assert lake.compact(TINY, DAY) == 7
    assert lake.compact(TINY, DAY) == 0
    assert len(lake.files(TINY, [DAY])) == 1
    assert len(lake.files(TINY, [NEXT_DAY])) == 1
    assert keys(lake) == wanted(range(9))
    found = lake.read(TINY, ["instrument", "ts"], [DAY]).to_pylist()
    assert found == sorted(found, key=lambda row: (row["instrument"], row["ts"]))


def test_late_rows_are_merged_into_the_sorted_file(tmp_path: Path) -> None:
    """A date that gets more rows is compacted again, also by the process that compacted it before."""
    lake = Lake(tmp_path)
    for offset in range(3):
        put(lake, offset)
    lake.compact(TINY, DAY)
    put(lake, 3)
    assert lake.compact(TINY, DAY) == 1
    assert keys(lake) == wanted(range(4))


def test_compaction_while_writing(tmp_path: Path) -> None:
    """Neither side fails, and every row is there once; the ranges still tile."""
    lake, other = Lake(tmp_path, checkpoint_every=3), Lake(tmp_path, checkpoint_every=3)
    put(lake, 0)

    def write() -> None:
        for offset in range(1, 50):
            put(lake, offset)

    thread = threading.Thread(target=write)
    thread.start()
    while thread.is_alive():
        other.compact(TINY, DAY)
    thread.join()
    other.compact(TINY, DAY)
    assert keys(lake) == wanted(range(50))
    assert len(lake.files(TINY)) == 1
    assert lake.range_faults(TINY) == []
    assert put(lake, 50)
    assert not put(lake, 50)


def test_two_compactions_at_once_do_not_double_rows(tmp_path: Path) -> None:
    """Delta would accept both; the later one must see that its files are gone."""
    second = Lake(tmp_path)
    for offset in range(4):
        put(second, offset)
    dropped: list[int] = []

    def meanwhile(step: str) -> None:
        if step == "data_synced" and not dropped:
            dropped.append(second.compact(TINY, DAY))

    first = Lake(tmp_path, on_step=meanwhile)
    assert first.compact(TINY, DAY) == 0
    assert dropped == [3]
    assert keys(first) == wanted(range(4))
    assert len(list(first.path(TINY).rglob("*.parquet"))) == 5


def test_vacuum_deletes_only_what_no_version_needs(tmp_path: Path) -> None:
    """Dropped files stay for the retention; orphans go with them."""
    lake = Lake(tmp_path)
    for offset in range(4):
        put(lake, offset)
    lake.compact(TINY, DAY)
    assert lake.vacuum(TINY) == []
    orphan = lake.path(TINY) / f"date={DAY}" / "part-orphan.parquet"
    orphan.write_bytes(b"")
    old_s = time.time() - 30 * 86_400
    os.utime(orphan, (old_s, old_s))
    assert len(lake.vacuum(TINY, 0)) == 5
    assert not orphan.exists()
    assert keys(lake) == wanted(range(4))
    assert lake.range_faults(TINY) == []
    assert put(lake, 4)


def test_a_partition_is_replaced_whole(tmp_path: Path) -> None:
    """Again and again with the same rows, or with none; other dates stay."""
    lake = Lake(tmp_path)
    put(lake, 0, day=NEXT_DAY)
    for _ in range(3):
        assert lake.replace_partition(TINY, DAY, rows(1, 2, 3)).written
        assert keys(lake) == wanted(range(4))
    assert len(lake.files(TINY, [DAY])) == 1
    assert lake.replace_partition(TINY, DAY, rows()).written
    assert keys(lake) == wanted([0])
    assert not lake.replace_partition(TINY, DAY, rows()).written


def test_a_replacement_of_another_date_is_refused(tmp_path: Path) -> None:
    """Else rows of that date would appear twice."""
    with pytest.raises(LakeError, match="2024-03-01") as caught:
        Lake(tmp_path).replace_partition(TINY, DAY, rows(1, day=NEXT_DAY))
    assert caught.value.code == "WRONG_DATE"


def test_two_replacements_at_once_leave_one(tmp_path: Path) -> None:
    """The later one replaces what the first has written."""
    second = Lake(tmp_path)
    second.replace_partition(TINY, DAY, rows(1))
    done: list[bool] = []

    def meanwhile(step: str) -> None:
        if step == "data_synced" and not done:
            done.append(second.replace_partition(TINY, DAY, rows(2)).written)

    Lake(tmp_path, on_step=meanwhile).replace_partition(TINY, DAY, rows(3))
    assert done == [True]
    assert keys(second) == wanted([3])


def test_the_choice_of_files_is_bounded() -> None:
    """Large files stay, the sum of the input has a limit, one sorted file is nothing to do."""
    large = DataFile("date=2024-03-01/part-0", "2024-03-01", TARGET_BYTES, 1)
    small = [DataFile(f"date=2024-03-01/part-{n}", "2024-03-01", TARGET_BYTES - 1, 1) for n in range(1, 5)]
    chosen = choose([large, *small])
    assert large not in chosen
    assert sum(file.size for file in chosen) <= INPUT_BYTES
    assert choose([small[0]]) == [small[0]]
    assert choose([small[0]._replace(path="date=2024-03-01/compact-1")]) == []
    assert choose([]) == []


def test_each_table_has_an_order() -> None:
    """By instrument and time where it has them, by source else."""
    assert sort_columns(TICKS_V1) == ["instrument", "ts", "trade_id"]
    assert sort_columns(BARS_V1) == ["instrument", "ts", "interval", "revision"]
    assert list(sort_columns(FRAMES_V1)) == ["src_partition", "src_offset", "src_row"]
