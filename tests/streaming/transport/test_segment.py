"""One segment file: a write that fails half-way leaves nothing, an index is used only if it fits."""

import errno
import os
from pathlib import Path

import pytest

from streaming.transport.frames import Encoder
from streaming.transport.segment import Segment


def written(folder: Path, count: int) -> Segment:
    """Return a segment with some records."""
    segment = Segment(folder, 10)
    segment.open_for_append()
    encoder = Encoder()
    encoder.add(10, 0, [(None, bytes(1_000))] * count)
    marks = encoder.marks
    segment.append(encoder.take(), marks, 10 + count)
    return segment


def test_a_write_that_fails_half_way_is_cut_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = written(tmp_path, 3)
    size, real = segment.size, os.write

    def half(fd: int, data: bytes) -> int:
        if len(data) <= 500:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        segment.append(bytes(4_000), [], 20)
    monkeypatch.undo()
    assert (segment.path.stat().st_size, segment.size, segment.next_offset) == (size, size, 13)
    segment.close_writer()


def test_an_index_brings_back_offsets_and_positions(tmp_path: Path) -> None:
    segment = written(tmp_path, 100)
    segment.write_index()
    again = Segment(tmp_path, 10)
    assert again.load_index()
    assert (again.size, again.next_offset) == (segment.size, 110)
    assert [again.position_of(n) for n in (0, 10, 50, 109)] == [segment.position_of(n) for n in (0, 10, 50, 109)]
    assert again.position_of(109) > 0
    with segment.path.open("ab") as file:
        file.write(b"more")
    assert not Segment(tmp_path, 10).load_index()
    segment.close_writer()


def test_an_index_that_cannot_be_stored_is_done_without(tmp_path: Path) -> None:
    segment = written(tmp_path, 3)
    segment.close_writer()
    segment.index_path.with_suffix(".draft").mkdir()
    segment.index_path.with_suffix(".draft").rmdir()
    segment.index_path.mkdir()
    segment.write_index()
    assert not segment.index_path.with_suffix(".draft").exists()
