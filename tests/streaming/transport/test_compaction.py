"""Compaction against a plain dict, and what a crash in the middle of it leaves."""

import os
import shutil
import time
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.transport.compaction import REST_SHARE, TOMBSTONE_KEPT_MS, Rests, is_due, rewrite, snapshot, swap
from streaming.transport.frames import Encoder, Frame
from streaming.transport.segment import Segment
from streaming.transport.segments import PartitionLog, sync_segments

KEYS = st.sampled_from([b"a", b"b", b"c", b"d"])
VALUES = st.none() | st.binary(max_size=20)
NO_STOP = 1 << 60


def opened(folder: Path) -> PartitionLog:
    """Return an open compacted log with tiny segments."""
    log = PartitionLog(folder, segment_bytes=150, retention_bytes=None, compacted=True)
    log.open()
    return log


def add(log: PartitionLog, key: bytes, value: bytes | None, ts_ms: int = 1_000) -> None:
    """Append one record."""
    encoder = Encoder()
    encoder.add(log.end, ts_ms, [(key, value)])
    marks = encoder.marks
    log.append(encoder.take(), marks, log.end + 1)


def frames(log: PartitionLog) -> list[Frame]:
    """Return all records."""
    return log.read(0, NO_STOP, 1 << 20)


def run(log: PartitionLog, now_ms: int = 2_000) -> None:
    """Compact the sealed segments."""
    sync_segments(log.take_unsynced(), os.fdatasync)
    sealed = log.sealed
    log.replace(sealed, compact(sealed, log.active, now_ms))


def compact(sealed: list[Segment], active: Segment, now_ms: int) -> Segment:
    """Rewrite without a rest, and put it in place."""
    fresh = rewrite(sealed, snapshot(active), now_ms, lambda: None)
    swap(sealed, fresh)
    return fresh


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(KEYS, VALUES), min_size=20, max_size=60), st.integers(0, 2))
def test_the_newest_of_each_key_stays_at_its_offset(
    tmp_path_factory: object, messages: list[tuple[bytes, bytes | None]], restarts: int
) -> None:
    folder = Path(tmp_path_factory.mktemp("log"))  # type: ignore[attr-defined] # hypothesis and tmp_path do not mix
    log = opened(folder)
    for key, value in messages:
        add(log, key, value)
    newest = {key: Frame(offset, 1_000, key, value) for offset, (key, value) in enumerate(messages)}
    active_base = log.active.base
    run(log)
    for _ in range(restarts):
        log.close()
        log = opened(folder)
    kept = frames(log)
    assert {f.key: f for f in kept} == newest
    assert [f.offset for f in kept] == sorted(f.offset for f in kept)
    assert sum(f.offset < active_base for f in kept) <= len(newest)
    assert (log.begin, log.end) == (0, len(messages))
    for start in range(len(messages)):
        assert log.read(start, NO_STOP, 1 << 20) == [f for f in kept if f.offset >= start]
    log.close()
    shutil.rmtree(folder)


def test_a_crash_before_the_new_index_leaves_no_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = opened(tmp_path)
    for number in range(40):
        # The first record is superseded, so everything behind it moves.
        add(log, b"key-%d" % (number or 5), b"x" * (3 + number % 7))
    current = [frame for frame in frames(log) if frame.offset]
    sync_segments(log.take_unsynced(), os.fdatasync)

    def crash(*_: object) -> None:
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(Segment, "store_index", crash)
        with pytest.raises(InterruptedError):
            compact(log.sealed, log.active, 2_000)
    log.abandon()
    again = opened(tmp_path)
    assert frames(again) == current
    again.close()


def test_an_old_tombstone_goes_and_a_young_one_stays(tmp_path: Path) -> None:
    log = opened(tmp_path)
    add(log, b"old", None, ts_ms=0)
    add(log, b"young", None, ts_ms=TOMBSTONE_KEPT_MS)
    for number in range(20):
        add(log, b"other", b"%d" % number)
    run(log, now_ms=TOMBSTONE_KEPT_MS + 1)
    assert [f.key for f in frames(log)][:1] == [b"young"]
    assert b"old" not in {f.key for f in frames(log)}
    log.close()


def test_segments_that_a_crash_left_behind_are_removed_at_the_next_start(tmp_path: Path) -> None:
    log = opened(tmp_path / "log")
    for number in range(40):
        add(log, b"key %d" % (number % 3), b"%d" % number)
    log.mark_unsynced()
    sync_segments(log.take_unsynced(), os.fdatasync)
    shutil.copytree(tmp_path / "log", tmp_path / "before")
    run(log)
    expected = frames(log)
    log.close()
    for file in (tmp_path / "before").iterdir():
        if not (tmp_path / "log" / file.name).exists():
            shutil.copy(file, tmp_path / "log" / file.name)
    (tmp_path / "log" / "00000000000000000099.compacted").write_bytes(b"half")
    log = opened(tmp_path / "log")
    assert frames(log) == expected
    assert not list((tmp_path / "log").glob("*.compacted"))
    log.close()


@given(st.lists(st.integers(1, 100), max_size=8))
def test_it_is_due_when_as_much_came_after_the_oldest_as_it_holds(sizes: list[int]) -> None:
    sealed = [Segment(Path(), number) for number in range(len(sizes))]
    for segment, size in zip(sealed, sizes, strict=True):
        segment.size = size
    assert is_due(sealed) == (len(sizes) > 1 and 2 * sizes[0] <= sum(sizes))


def test_a_rest_is_longer_than_the_work_before_it() -> None:
    asked: list[float | None] = []

    class Closing(Event):
        def wait(self, timeout: float | None = None) -> bool:
            asked.append(timeout)
            return False

    before = time.perf_counter()
    rest = Rests(Closing())
    since = time.perf_counter()
    rest()
    worked = time.perf_counter() - since
    rest()
    assert asked[0] is not None
    assert 0 < asked[0] <= REST_SHARE * (worked + since - before)


def test_it_rests_as_it_goes_and_copies_bytes_as_they_are(tmp_path: Path) -> None:
    log = PartitionLog(tmp_path, segment_bytes=300 << 10, retention_bytes=None, compacted=True)
    log.open()
    for number in range(600):
        add(log, b"key %d" % (number % 400), b"%d" % number * 700)
    before = {frame.offset: frame for frame in log.read(0, NO_STOP, 8 << 20)}
    rests: list[int] = []
    sealed, active = log.sealed, snapshot(log.active)
    fresh = rewrite(sealed, active, 2_000, lambda: rests.append(1))
    assert len(rests) >= sum(segment.size for segment in sealed) // (128 << 10)
    swap(sealed, fresh)
    log.replace(sealed, fresh)
    kept = log.read(0, NO_STOP, 8 << 20)
    assert all(before[frame.offset] == frame for frame in kept)
    assert {frame.key for frame in kept} == {b"key %d" % number for number in range(400)}
    log.close()
