"""Points of a sync: the newest whole one counts, and only after the machine has started anew."""

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from streaming.transport import sync_point
from streaming.transport.sync_point import FILE, SLOT_BYTES, SyncPoints, boot_id

ENDS = {"ticks/0": 7, "ticks.raw/0": 9}


def written(folder: Path, *points: dict[str, int], boot: str = "a") -> SyncPoints:
    """Return points that were written one after the other."""
    kept = SyncPoints(folder, boot)
    kept.lost_from()
    for ends in points:
        kept.write(ends)
    kept.close()
    return kept


def test_a_point_counts_in_another_life_of_the_machine_only(tmp_path: Path) -> None:
    assert SyncPoints(tmp_path, "a").lost_from() == {}
    assert written(tmp_path, ENDS, ENDS | {"ticks/0": 8}).ends == ENDS | {"ticks/0": 8}
    assert SyncPoints(tmp_path, "a").lost_from() == {}
    assert SyncPoints(tmp_path, "b").lost_from() == ENDS | {"ticks/0": 8}
    assert SyncPoints(tmp_path, "").lost_from() == {}, "nobody knows"


def test_the_machine_has_a_name_for_its_life() -> None:
    assert boot_id() == boot_id()


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("torn", ["head", "body", "zeros"])
def test_of_a_point_that_is_torn_the_one_before_counts(tmp_path: Path, count: int, torn: str) -> None:
    written(tmp_path, *({"t/0": number} for number in range(1, count + 1)))
    start = count % 2 * SLOT_BYTES
    with (tmp_path / FILE).open("r+b") as file:
        file.seek(start + {"head": 5, "body": 30, "zeros": 0}[torn])
        file.write(bytes(100) if torn == "zeros" else b"\xff")
    assert SyncPoints(tmp_path, "b").lost_from() == ({"t/0": count - 1} if count > 1 else {})
    written(tmp_path, {"t/0": 50})
    assert SyncPoints(tmp_path, "b").lost_from() == {"t/0": 50}


def test_writing_goes_on_after_a_restart(tmp_path: Path) -> None:
    for number in range(5):
        written(tmp_path, {"t/0": number}, boot=f"boot-{number % 2}")
        assert SyncPoints(tmp_path, "other").lost_from() == {"t/0": number}
    assert (tmp_path / FILE).stat().st_size == 2 * SLOT_BYTES


def test_a_forgotten_point_does_not_count(tmp_path: Path) -> None:
    kept = written(tmp_path, ENDS)
    kept.forget()
    kept.forget()
    assert SyncPoints(tmp_path, "b").lost_from() == {}


def test_a_point_that_cannot_be_kept_leaves_none_that_is_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = written(tmp_path, ENDS)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with capture_logs() as lines:
        kept.write(ENDS | {"ticks/0": 98})
        kept.write(ENDS | {"ticks/0": 99})
    assert [line["event"] for line in lines] == ["sync_point_not_kept"], "told once, not at each sync"
    assert kept.ends["ticks/0"] == 99
    assert SyncPoints(tmp_path, "b").lost_from() == {}


def test_more_partitions_than_find_room_leave_no_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, ENDS)
    monkeypatch.setattr(sync_point, "SLOT_BYTES", 100)
    kept = written(tmp_path, {f"a-long-name-of-a-topic/{number}": number for number in range(10)})
    assert len(kept.ends) == 10
    assert not (tmp_path / FILE).exists()
