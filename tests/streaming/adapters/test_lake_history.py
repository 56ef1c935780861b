"""Offset ranges: provable over the life of a table, whatever leaves the log."""

import fcntl
import time
from pathlib import Path

import pytest

from streaming.adapters.lake import Disk, Lake, LakeError, OffsetRange
from streaming.adapters.lake_history import RETENTION_DAYS, already_taken, archive, fold_history, range_faults
from tests.streaming.adapters.lake_rows import DAY, TINY, log_files, put, span

DAY_S = 86_400


def entry(first: int, last: int, version: int = 0, partition: int = 0) -> OffsetRange:
    """Return one entry of a history."""
    return OffsetRange(version=version, last_version=version, source=span(first, last, partition=partition))


def test_ranges_tile_per_source() -> None:
    """Gaps and overlaps are named with source, version and offsets."""
    assert range_faults([entry(5, 9), entry(0, 3, partition=1), entry(10, 10), entry(4, 4, partition=1)]) == []
    assert range_faults([entry(0, 3), entry(5, 6, version=7)]) == [
        "ticks-0: gap at version 7: starts at 5, wanted 4",
    ]
    assert range_faults([entry(0, 3), entry(3, 6, version=8)]) == [
        "ticks-0: overlap at version 8: starts at 3, wanted 4",
    ]


@pytest.mark.parametrize(
    ("applied", "taken"),
    [({}, False), ({"ticks-0": 9}, True), ({"ticks-0": 12}, True), ({"ticks-0": 4, "ticks-0:0": 4}, False)],
)
def test_a_range_is_in_the_table_or_not(applied: dict[str, int], taken: bool) -> None:
    """By the transactions of its source."""
    assert already_taken([span(5, 9)], applied.get) is taken


@pytest.mark.parametrize("applied", [{"ticks-0": 5}, {"ticks-0": 4, "ticks-0:0": 9}])
def test_a_range_that_is_in_part_in_the_table_is_refused(applied: dict[str, int]) -> None:
    """By its output offsets or by its raw offsets."""
    with pytest.raises(LakeError, match="ticks-0") as caught:
        already_taken([span(5, 9)], applied.get)
    assert caught.value.code == "OFFSETS_OVERLAP"


def test_ranges_tile_after_compaction_checkpoints_and_vacuum(tmp_path: Path) -> None:
    """Several sources in one table."""
    lake = Lake(tmp_path, checkpoint_every=2)
    for offset in range(70):
        put(lake, offset)
        put(lake, offset, partition=1)
        if offset % 20 == 19:
            lake.compact(TINY, DAY)
    lake.vacuum(TINY, 0)
    found = Lake(tmp_path).offset_ranges(TINY)
    assert range_faults(found) == []
    assert sum(each.source.rows for each in found) == lake.rows(TINY) == 280
    assert {each.source.app for each in found} == {"ticks-0", "ticks-1"}
    assert len(log_files(lake)) < 80


def test_old_history_is_folded_and_stays_provable(tmp_path: Path) -> None:
    """Nothing younger than the retention is touched; a gap survives the folding."""
    lake = Lake(tmp_path, checkpoint_every=1)
    for offset in range(90):
        put(lake, offset if offset < 10 else offset + 5)
    folder = lake.path(TINY)
    before = lake.offset_ranges(TINY)
    days = sorted((folder / "_history").glob("*.jsonl"))
    fold_history(folder, Disk(), time.time())
    assert sorted((folder / "_history").glob("*.jsonl")) == days
    fold_history(folder, Disk(), time.time() + (RETENTION_DAYS + 2) * DAY_S)
    assert not list((folder / "_history").glob("*.jsonl"))
    after = lake.offset_ranges(TINY)
    assert len(after) < len(before)
    assert sum(each.source.rows for each in after) == sum(each.source.rows for each in before) == lake.rows(TINY)
    assert [fault.partition(" at")[0] for fault in range_faults(after)] == ["ticks-0: gap"]
    assert after[0].source.raw == {0: 9}
    put(lake, 95)
    assert lake.offset_ranges(TINY)[-1].source.first == 95


def test_a_torn_archive_is_no_loss(tmp_path: Path) -> None:
    """The commits are still in the log, and are archived again."""
    lake = Lake(tmp_path, checkpoint_every=1)
    for offset in range(60):
        put(lake, offset)
    (archived,) = (lake.path(TINY) / "_history").glob("*.jsonl")
    with archived.open("ab") as file:
        file.write(b'{"version":9999,"acti')
    for offset in range(60, 70):
        put(lake, offset)
    found = lake.offset_ranges(TINY)
    assert [each.source.first for each in found] == list(range(70))


def test_only_one_process_archives_at_a_time(tmp_path: Path) -> None:
    """And none while a writer gives a commit its name; it is left for later."""
    lake = Lake(tmp_path, checkpoint_every=1000)
    put(lake, 0)
    history = lake.path(TINY) / "_history"
    with (history / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        for offset in range(1, 60):
            put(lake, offset)
            if offset >= 57:
                lake.checkpoint(TINY)
    assert len(log_files(lake)) == 61
    archive(lake.path(TINY), Disk())
    assert len(log_files(lake)) < 61
    assert range_faults(lake.offset_ranges(TINY)) == []
