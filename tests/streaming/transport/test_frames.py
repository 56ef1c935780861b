"""Frames: what goes in comes out, and damage is never taken for a record."""

import itertools
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.transport.frames import (
    HEADER_BYTES,
    INDEX_STEP_BYTES,
    Encoder,
    Frame,
    FrameError,
    decode,
    holds_valid_frame,
)

PARTS = st.none() | st.binary(max_size=40)
MESSAGES = st.lists(st.tuples(PARTS, PARTS), min_size=1, max_size=8)


def encoded(messages: list[tuple[bytes | None, bytes | None]], first: int = 7) -> bytes:
    """Return the bytes of the messages."""
    encoder = Encoder()
    encoder.add(first, 1_000, messages)
    return encoder.take()


@given(MESSAGES)
def test_round_trip(messages: list[tuple[bytes | None, bytes | None]]) -> None:
    data, at, frames = encoded(messages), 0, []
    while at < len(data):
        found = decode(data, at)
        assert not isinstance(found, int)
        frame, at = found
        frames.append(frame)
    assert frames == [Frame(7 + n, 1_000, key, value) for n, (key, value) in enumerate(messages)]


@given(MESSAGES, st.data())
def test_a_flipped_bit_is_never_a_record(
    messages: list[tuple[bytes | None, bytes | None]], data: st.DataObject
) -> None:
    good = encoded(messages[:1])
    at = data.draw(st.integers(0, len(good) * 8 - 1))
    bad = bytearray(good)
    bad[at // 8] ^= 1 << (at % 8)
    with suppress(FrameError):
        assert isinstance(decode(bytes(bad), 0), int)


@given(MESSAGES, st.data())
def test_a_cut_frame_asks_for_what_is_missing(
    messages: list[tuple[bytes | None, bytes | None]], data: st.DataObject
) -> None:
    good = encoded(messages[:1])
    cut = data.draw(st.integers(0, len(good) - 1))
    assert decode(good[:cut], 0) == (len(good) if cut >= HEADER_BYTES else HEADER_BYTES)


def test_a_valid_frame_is_found_behind_garbage_and_not_in_garbage() -> None:
    good = encoded([(b"k", b"v" * 100)])
    assert holds_valid_frame(b"\xf5TL\x01 garbage " * 9 + good)
    assert not holds_valid_frame(b"\xf5TL\x01 garbage " * 9)
    assert not holds_valid_frame(good[:-1])


def test_marks_point_at_frames_about_every_step() -> None:
    encoder = Encoder()
    encoder.add(0, 0, [(None, bytes(1_000))] * 100)
    marks, data = encoder.marks, encoder.take()
    steps = [after[1] - before[1] for before, after in itertools.pairwise(marks)]
    assert all(INDEX_STEP_BYTES <= step <= INDEX_STEP_BYTES + 1_032 for step in steps)
    assert len(steps) == 6
    for offset, position in marks:
        found = decode(data, position)
        assert not isinstance(found, int)
        assert found[0].offset == offset


def test_no_frame_starts_in_the_middle() -> None:
    with pytest.raises(FrameError):
        decode(encoded([(b"key", b"v" * 100)]), 1)
