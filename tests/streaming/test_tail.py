import pytest

from streaming.adapters.feed_sim import SimFeed
from streaming.settings import FeedSettings
from streaming.tail import Resume, find_resume, identity, known_letters, newest_source, windows_back
from tests.streaming.adapters.frames import payloads
from tests.streaming.memory_broker import MemoryBroker
from trading.codec import encode
from trading.market.batches import empty_frame
from trading.messages import DeadLetter, Reject, Source

SPOILED = b"spoiled"


def frame(seq: int, feed: str = "fake", *, eof: bool = False) -> bytes:
    return empty_frame(feed=feed, venue="SIM", seq=seq, clock_ns=1_000 + seq, eof=eof).encode()


def letter(offset: int, topic: str = "ticks.raw", partition: int = 0, code: str = "CORRUPT") -> DeadLetter:
    return DeadLetter(topic=topic, src=Source(partition, offset), ts_ns=0, rejects=(Reject(code=code, message="m"),))


async def fill(topic: str, *values: bytes) -> MemoryBroker:
    broker = MemoryBroker()
    await broker.append(topic, 0, [(None, value) for value in values])
    return broker


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], Resume()),
        ([frame(0), frame(1)], Resume(2, 1_001)),
        ([frame(0), frame(1, eof=True)], Resume(2, 1_001, eof=True)),
        ([frame(0), frame(5), frame(5), frame(4)], Resume(6, 1_005)),
        ([frame(7), SPOILED, SPOILED], Resume(10, 1_007)),
        ([SPOILED], Resume(1)),
        ([frame(3), frame(90, "other"), frame(91, "other")], Resume(4, 1_003)),
        ([frame(90, "other")], Resume()),
    ],
)
async def test_a_feed_goes_on_behind_its_newest_frame(values: list[bytes], expected: Resume) -> None:
    assert await find_resume(await fill("ticks.raw", *values), 0, "fake") == expected


async def test_a_feed_is_found_far_behind_another_one() -> None:
    values = [frame(3), *(frame(seq, "other") for seq in range(1_000))]
    assert (await find_resume(await fill("ticks.raw", *values), 0, "fake")).seq == 4


async def test_windows_cover_every_record_once_and_stop_at_the_floor() -> None:
    broker = await fill("t", *(bytes([n % 256]) for n in range(1_000)))
    windows = [[record.offset for record in window] async for window in windows_back(broker, "t", 0, 130)]
    assert windows[0] == list(range(936, 1_000))
    assert sorted(offset for window in windows for offset in window) == list(range(130, 1_000))


async def test_the_newest_source_of_a_raw_partition() -> None:
    broker = await fill(
        "deadletter",
        encode(letter(3)),
        encode(letter(9, partition=1)),
        encode(letter(12, topic="fake", partition=-1)),
        SPOILED,
    )
    assert await newest_source(broker, "deadletter", 0, 0, 0) == 3
    assert await newest_source(broker, "deadletter", 0, 1, 0) == 9
    assert await newest_source(broker, "deadletter", 0, 0, 1) == -1
    assert await newest_source(broker, "deadletter", 0, 2, 0) == -1


async def test_raw_frames_have_no_source() -> None:
    values = await payloads(SimFeed(FeedSettings(rate=0, ticks=500, batch_rows=100)))
    assert await newest_source(await fill("ticks", *values), "ticks", 0, 0, 0) == -1


async def test_letters_of_a_feed_are_known_again() -> None:
    own = letter(4, topic="fake", partition=-1)
    broker = await fill("deadletter", encode(own), encode(letter(5)), SPOILED)
    assert await known_letters(broker, "fake") == {identity(own)}
    assert identity(own) != identity(letter(4, topic="fake", partition=-1, code="FRAME_TOO_LARGE"))
