"""What the newest records are read from equals what was appended, whatever is kept of it."""

from hypothesis import given
from hypothesis import strategies as st

from streaming.transport.frames import HEADER_BYTES, Frame
from streaming.transport.recent import Recent

Messages = list[tuple[bytes | None, bytes | None]]
ITEMS = st.none() | st.binary(max_size=8)
BATCHES = st.lists(st.lists(st.tuples(ITEMS, ITEMS), min_size=1, max_size=4), max_size=12)


def size_of(messages: Messages) -> int:
    return sum(HEADER_BYTES + len(key or b"") + len(value or b"") for key, value in messages)


def appended(recent: Recent, batches: list[Messages], first: int = 0) -> list[Frame]:
    """Add the batches; return every frame that they are."""
    frames: list[Frame] = []
    for number, messages in enumerate(batches):
        recent.add(first + len(frames), number, messages, size_of(messages))
        frames += [Frame(first + len(frames) + n, number, key, value) for n, (key, value) in enumerate(messages)]
    return frames


@given(BATCHES, st.integers(0, 400), st.integers(0, 60), st.integers(0, 60), st.integers(0, 400))
def test_a_read_is_a_run_of_what_was_appended_or_nothing(
    batches: list[Messages], kept_bytes: int, offset: int, stop: int, max_bytes: int
) -> None:
    recent = Recent(kept_bytes)
    frames = appended(recent, batches)
    found = recent.read(offset, stop, max_bytes)
    wanted = frames[offset:stop]
    assert found == wanted[: len(found)]
    over = size_of([(frame.key, frame.value) for frame in found[:-1]])
    assert over < max_bytes or not found
    if found and size_of([(frame.key, frame.value) for frame in found]) < max_bytes:
        assert found == wanted


@given(BATCHES, st.integers(0, 400))
def test_it_keeps_the_newest_in_bounds(batches: list[Messages], kept_bytes: int) -> None:
    recent = Recent(kept_bytes)
    frames = appended(recent, batches)
    held = [recent.read(frame.offset, len(frames), 1 << 20) for frame in frames]
    if batches:
        last = batches[-1]
        assert held[-1], "the last batch is there"
        longest = max(held, key=len)
        assert size_of([(frame.key, frame.value) for frame in longest]) <= max(kept_bytes, size_of(last))


def test_what_was_not_written_is_forgotten_and_its_offsets_given_again() -> None:
    recent = Recent()
    appended(recent, [[(b"a", b"1")], [(b"b", b"2"), (b"c", b"3")]])
    recent.cut(1)
    assert recent.read(1, 3, 100) == []
    again = appended(recent, [[(b"d", b"4")]], first=1)
    assert recent.read(0, 9, 1_000) == [Frame(0, 0, b"a", b"1"), *again]


def test_a_list_that_its_owner_uses_again_does_not_change_what_is_kept() -> None:
    recent, messages = Recent(), [(b"a", b"1")]
    recent.add(0, 5, messages, 40)
    messages.clear()
    assert recent.read(0, 1, 100) == [Frame(0, 5, b"a", b"1")]
