"""The log of a partition against a list: appends, reads, reopening, torn tails, damage, retention."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from structlog.testing import capture_logs

from streaming.transport import segment
from streaming.transport.client import BrokerError
from streaming.transport.frames import Encoder, Frame
from streaming.transport.segments import PartitionLog, sync_segments

NO_STOP = 1 << 60
PARTS = st.none() | st.binary(max_size=30)


def opened(folder: Path, *, segment_bytes: int = 2_000, retention_bytes: int | None = None) -> PartitionLog:
    """Return an open log of small segments."""
    log = PartitionLog(folder, segment_bytes=segment_bytes, retention_bytes=retention_bytes, compacted=False)
    log.open()
    return log


def add(log: PartitionLog, messages: list[tuple[bytes | None, bytes | None]]) -> None:
    """Append messages as one write."""
    encoder = Encoder()
    encoder.add(log.end, 5, messages)
    marks = encoder.marks
    log.append(encoder.take(), marks, log.end + len(messages))


def values(log: PartitionLog) -> list[bytes | None]:
    """Return all values, read in steps."""
    found: list[Frame] = []
    while frames := log.read(found[-1].offset + 1 if found else 0, NO_STOP, 700):
        found += frames
    return [frame.value for frame in found]


def filled(folder: Path, count: int, *, segment_bytes: int = 2_000) -> PartitionLog:
    """Return a log with numbered records of about 50 bytes."""
    log = opened(folder, segment_bytes=segment_bytes)
    for number in range(count):
        add(log, [(b"key", b"value %010d" % number)])
    return log


class LogModel(RuleBasedStateMachine):
    """A partition log must read as a list does, whatever order of writes, syncs and restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.home = tempfile.TemporaryDirectory()
        self.model: list[tuple[bytes | None, bytes | None]] = []
        self.log = opened(Path(self.home.name), segment_bytes=600)

    @rule(messages=st.lists(st.tuples(PARTS, PARTS), min_size=1, max_size=12))
    def append(self, messages: list[tuple[bytes | None, bytes | None]]) -> None:
        add(self.log, messages)
        self.model += messages

    @rule(start=st.integers(0, 200), length=st.integers(0, 50), budget=st.integers(1, 3_000))
    def read(self, start: int, length: int, budget: int) -> None:
        frames = self.log.read(start, start + length, budget)
        assert [(f.key, f.value) for f in frames] == self.model[start : start + length][: len(frames)]
        assert [f.offset for f in frames] == list(range(start, start + len(frames)))
        assert frames or not self.model[start : start + length]

    @rule()
    def sync(self) -> None:
        sync_segments(self.log.take_unsynced(), os.fdatasync)

    @rule()
    def restart(self) -> None:
        self.log.close()
        self.log = opened(Path(self.home.name), segment_bytes=600)

    @rule()
    def crash(self) -> None:
        self.log.abandon()
        self.log = opened(Path(self.home.name), segment_bytes=600)

    @precondition(lambda self: self.model)
    @rule(cut=st.integers(1, 10))
    def torn(self, cut: int) -> None:
        """Lose a part of the last record, as a power failure would."""
        self.log.abandon()
        last = max(Path(self.home.name).glob("*.log"))
        size = last.stat().st_size
        if size:
            os.truncate(last, max(size - cut, 0))
            self.model.pop()
        self.log = opened(Path(self.home.name), segment_bytes=600)

    @precondition(lambda self: self.model)
    @rule(share=st.floats(0, 1))
    def cut(self, share: float) -> None:
        """Go back to an earlier end."""
        end = int(share * len(self.model))
        assert self.log.cut(end) == len(self.model) - end
        del self.model[end:]

    @invariant()
    def ends_agree(self) -> None:
        assert (self.log.begin, self.log.end) == (0, len(self.model))

    def teardown(self) -> None:
        self.log.abandon()
        self.home.cleanup()


TestLogModel = LogModel.TestCase
TestLogModel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_a_torn_tail_is_cut_and_reported(tmp_path: Path) -> None:
    filled(tmp_path, 10, segment_bytes=1 << 20).abandon()
    file = next(tmp_path.glob("*.log"))
    size = file.stat().st_size
    os.truncate(file, size - 3)
    with capture_logs() as lines:
        log = opened(tmp_path, segment_bytes=1 << 20)
    record_bytes = size // 10
    assert lines == [
        {
            "event": "torn_tail_cut",
            "log_level": "warning",
            "file": str(file),
            "offset": size - record_bytes,
            "bytes_cut": record_bytes - 3,
        }
    ]
    assert (log.end, len(values(log))) == (9, 9)
    add(log, [(None, b"after")])
    assert values(log)[-1] == b"after"
    log.close()


def test_garbage_behind_the_last_record_is_cut(tmp_path: Path) -> None:
    filled(tmp_path, 10, segment_bytes=1 << 20).abandon()
    with next(tmp_path.glob("*.log")).open("ab") as file:
        file.write(bytes(5_000))
    log = opened(tmp_path)
    assert len(values(log)) == 10
    log.close()


def flip(file: Path, at: int) -> None:
    """Flip one bit of a file."""
    data = bytearray(file.read_bytes())
    data[at] ^= 4
    file.write_bytes(data)


def test_damage_in_the_middle_of_the_last_segment_stops_the_start(tmp_path: Path) -> None:
    filled(tmp_path, 10, segment_bytes=1 << 20).abandon()
    file = next(tmp_path.glob("*.log"))
    flip(file, file.stat().st_size // 2)
    before = file.read_bytes()
    with pytest.raises(BrokerError, match=str(file)) as refusal:
        opened(tmp_path, segment_bytes=1 << 20)
    assert (refusal.value.code, refusal.value.retriable) == ("LOG_CORRUPT", False)
    assert file.read_bytes() == before


def test_damage_in_a_sealed_segment_stops_the_read_after_the_good_records(tmp_path: Path) -> None:
    filled(tmp_path, 200).close()
    file = sorted(tmp_path.glob("*.log"))[1]
    flip(file, 100)
    log = opened(tmp_path)
    with pytest.raises(BrokerError, match=str(file)) as refusal:
        values(log)
    assert refusal.value.code == "LOG_CORRUPT"
    log.close()


def test_a_missing_segment_stops_the_start(tmp_path: Path) -> None:
    filled(tmp_path, 200).close()
    sorted(tmp_path.glob("*.log"))[1].unlink()
    with pytest.raises(BrokerError, match="was expected") as refusal:
        opened(tmp_path)
    assert refusal.value.code == "LOG_CORRUPT"


def test_a_lost_index_is_built_again(tmp_path: Path) -> None:
    filled(tmp_path, 200).close()
    for number, index in enumerate(sorted(tmp_path.glob("*.index"))):
        index.write_bytes(b"" if number % 2 else index.read_bytes()[:-1])
    log = opened(tmp_path)
    assert len(values(log)) == 200
    log.close()


def test_an_index_of_more_than_the_file_holds_is_not_believed_when_the_file_has_grown_again(tmp_path: Path) -> None:
    filled(tmp_path, 3).close()
    file = next(tmp_path.glob("*.log"))
    os.truncate(file, file.stat().st_size - 1)
    log = opened(tmp_path)
    add(log, [(None, b"longer than what was lost"), (None, b"last")])
    log.abandon()
    again = opened(tmp_path)
    assert values(again)[2:] == [b"longer than what was lost", b"last"]
    again.close()


def test_after_a_kill_only_what_came_since_the_last_index_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment, "INDEX_EACH_BYTES", 2_000)
    log = opened(tmp_path, segment_bytes=1 << 20)
    for number in range(500):
        add(log, [(b"key", b"value %010d" % number)])
        sync_segments(log.take_unsynced(), os.fdatasync)
    log.abandon()
    read: list[int] = []
    real = segment.Segment.scan

    def counted(self: segment.Segment, position: int = 0, chunk_bytes: int = 1 << 20) -> Iterator[tuple[Frame, int]]:
        for frame, end in real(self, position, chunk_bytes):
            read.append(frame.offset)
            yield frame, end

    monkeypatch.setattr(segment.Segment, "scan", counted)
    log = opened(tmp_path, segment_bytes=1 << 20)
    assert len(read) < 50
    assert values(log) == [b"value %010d" % number for number in range(500)]
    log.close()


@pytest.mark.parametrize("lost", [3, 51], ids=["within a record", "a whole record"])
def test_a_power_cut_behind_a_roll_costs_what_was_not_synced(lost: int, tmp_path: Path) -> None:
    log = filled(tmp_path, 20, segment_bytes=1_000)
    sync_segments(log.take_unsynced(), os.fdatasync)
    torn = log.active
    while log.active is torn:
        add(log, [(b"key", b"value %010d" % log.end)])
    log.abandon()
    os.truncate(torn.path, torn.path.stat().st_size - lost)
    with capture_logs() as lines:
        log = opened(tmp_path, segment_bytes=1_000)
    aside = tmp_path / f"{torn.next_offset:020d}.unsynced"
    assert {"event": "unsynced_segment_set_aside", "log_level": "error", "file": str(aside), "bytes": 51} in lines
    assert log.end == torn.next_offset - 1
    assert values(log) == [b"value %010d" % number for number in range(log.end)]
    add(log, [(b"key", b"after")])
    log.abandon()
    log = opened(tmp_path, segment_bytes=1_000)
    assert values(log)[-1] == b"after"
    log.close()


def test_a_sealed_segment_that_was_synced_may_not_be_torn(tmp_path: Path) -> None:
    filled(tmp_path, 200).close()
    files = sorted(tmp_path.glob("*.log"))
    os.truncate(files[1], files[1].stat().st_size - 3)
    with pytest.raises(BrokerError, match=str(files[1])) as refusal:
        opened(tmp_path)
    assert refusal.value.code == "LOG_CORRUPT"
    assert not list(tmp_path.glob("*.unsynced"))


def test_retention_drops_the_oldest_segments_and_keeps_offsets(tmp_path: Path) -> None:
    log = opened(tmp_path, segment_bytes=1_000, retention_bytes=5_000)
    for number in range(500):
        add(log, [(None, b"value %010d" % number)])
    assert 5_000 <= log.size <= 7_000
    frames = log.read(0, NO_STOP, 1 << 20)
    assert frames[0].offset == log.begin > 0
    assert frames[-1] == Frame(499, 5, None, b"value %010d" % 499)
    sync_segments(log.take_unsynced(), os.fdatasync)
    log.close()
    log = opened(tmp_path, segment_bytes=1_000, retention_bytes=5_000)
    assert (log.begin, log.end) == (frames[0].offset, 500)
    log.close()
    assert len(list(tmp_path.glob("*.log"))) < 12


def test_reading_needs_few_descriptors(tmp_path: Path) -> None:
    log = filled(tmp_path, 2_000, segment_bytes=500)
    sync_segments(log.take_unsynced(), os.fdatasync)
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert len(values(log)) == 2_000
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2
    log.close()


def test_what_is_cut_stays_beside_the_log(tmp_path: Path) -> None:
    log = filled(tmp_path, 100)
    before = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("*.log")))
    with capture_logs() as lines:
        assert log.cut(55) == 45
    assert {line["event"] for line in lines} == {"unsynced_segment_set_aside"}
    assert values(log) == [b"value %010d" % number for number in range(55)]
    kept, aside = (sorted(tmp_path.glob(f"*.{kind}")) for kind in ("log", "unsynced"))
    assert b"".join(path.read_bytes() for path in (*kept, *aside)) == before
    add(log, [(b"key", b"value")])
    log.close()
    assert opened(tmp_path).end == 56


def test_a_log_that_is_cut_before_its_begin_goes_on_there(tmp_path: Path) -> None:
    log = opened(tmp_path, segment_bytes=500, retention_bytes=1_000)
    for number in range(100):
        add(log, [(b"key", b"value %010d" % number)])
    assert log.begin > 10
    log.cut(10)
    assert (log.begin, log.end, values(log)) == (10, 10, [])
    add(log, [(b"key", b"value")])
    assert log.end == 11
