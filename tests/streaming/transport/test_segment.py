"""One segment file: a write that fails half-way leaves nothing, an index is used only if it fits."""

import errno
import os
from pathlib import Path

import pytest

from streaming.transport.frames import Encoder
from streaming.transport.segment import INDEX_EACH_BYTES, Segment


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
    segment.store_index(segment.index())
    again = Segment(tmp_path, 10)
    assert again.load_index()
    assert (again.size, again.next_offset) == (segment.size, 110)
    assert [again.position_of(n) for n in (0, 10, 50, 109)] == [segment.position_of(n) for n in (0, 10, 50, 109)]
    assert again.position_of(109) > 0
    segment.close_writer()


def test_what_an_index_does_not_cover_is_read(tmp_path: Path) -> None:
    segment = written(tmp_path, 100)
    segment.store_index(segment.index())
    more = Encoder()
    more.add(110, 0, [(None, b"more"), (None, b"torn")])
    marks = more.marks
    segment.append(more.take()[:-1], marks, 112)
    segment.close_writer()
    again = Segment(tmp_path, 10)
    assert not again.load_index()
    assert again.next_offset == 110
    assert again.recover(may_be_torn=True, dense=True) > 0
    assert (again.next_offset, again.path.stat().st_size) == (111, again.size)
    assert [frame.offset for frame, _ in again.scan()] == list(range(10, 111))
    again.close_reader()


@pytest.mark.parametrize("spoilt", ["bit", "short", "file"])
def test_an_index_that_does_not_fit_is_left_alone(spoilt: str, tmp_path: Path) -> None:
    segment = written(tmp_path, 100)
    index = segment.index()
    if spoilt == "file":
        os.truncate(segment.path, segment.size - 1)
    segment.store_index(
        {"bit": index[:20] + bytes([index[20] ^ 1]) + index[21:], "short": index[:5]}.get(spoilt, index)
    )
    again = Segment(tmp_path, 10)
    assert not again.load_index()
    assert (again.size, again.next_offset) == (0, 10)
    segment.close_writer()


def test_an_index_is_due_after_a_megabyte(tmp_path: Path) -> None:
    segment = written(tmp_path, 1_000)
    assert segment.index_if_due() is None
    segment.append(bytes(INDEX_EACH_BYTES), [], 1_010)
    assert segment.index_if_due() is not None
    assert segment.index_if_due() is None
    segment.close_writer()


def test_an_index_that_cannot_be_stored_is_done_without(tmp_path: Path) -> None:
    segment = written(tmp_path, 3)
    segment.close_writer()
    segment.index_path.with_suffix(".draft").mkdir()
    segment.index_path.with_suffix(".draft").rmdir()
    segment.index_path.mkdir()
    segment.store_index(segment.index())
    assert not segment.index_path.with_suffix(".draft").exists()
