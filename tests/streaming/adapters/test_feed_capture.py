from pathlib import Path

import pytest

from streaming.adapters.feed import FeedError
from streaming.adapters.feed_capture import CaptureFeed
from streaming.adapters.feed_sim import SimFeed
from streaming.adapters.feed_source import open_feed
from streaming.adapters.frame_head import read_head
from streaming.adapters.lake import Lake, SourceRange
from streaming.settings import FeedSettings
from streaming.sink_rows import FRAME_FORM
from streaming.transport.client import Record
from tests.streaming.adapters.frames import payloads
from trading.instruments import CATALOGUE
from trading.schemas import FRAMES_V1, TICKS_RAW

SPOILED = b"not a frame"


def capture(root: Path, frames: list[bytes], commits: int = 3) -> Path:
    """Write frames to a lake as the sink does; return the folder of the table."""
    lake = Lake(root)
    lake.ensure(FRAMES_V1)
    size = -(-len(frames) // commits)
    for first in range(0, len(frames), size):
        part = frames[first : first + size]
        records = [Record(TICKS_RAW.name, 0, first + n, b"SIM", payload) for n, payload in enumerate(part)]
        rows = FRAME_FORM.table([FRAME_FORM.read(record, CATALOGUE).part for record in records])
        span = SourceRange(topic=TICKS_RAW.name, partition=0, first=first, last=first + len(part) - 1, rows=len(part))
        lake.append(FRAMES_V1, rows, [span])
    return root / FRAMES_V1.layer / FRAMES_V1.name


async def simulated(seed: int = 7) -> list[bytes]:
    return await payloads(SimFeed(FeedSettings(rate=0, ticks=2_000, batch_rows=100, seed=seed)))


async def test_frames_come_back_byte_for_byte(tmp_path: Path) -> None:
    frames = await simulated()
    table = capture(tmp_path, frames)
    feed = open_feed(FeedSettings(source=f"replay:{table}"))
    assert (feed.name, feed.venue) == (_head_name(frames[0]), "SIM")
    assert await payloads(feed) == frames
    assert feed.progress() == 1.0
    assert await payloads(CaptureFeed(table, speed=0), 7) == frames[7:]
    assert feed.take_rejects() == ()


async def test_a_capture_without_an_end_gets_one(tmp_path: Path) -> None:
    frames = (await simulated())[:-1]
    sent = await payloads(CaptureFeed(capture(tmp_path, frames), speed=0))
    assert sent[:-1] == frames
    last = read_head(sent[-1])
    assert last is not None
    assert (last.seq, last.rows, last.eof) == (len(frames), 0, True)


async def test_a_spoiled_frame_is_sent_again_where_it_was(tmp_path: Path) -> None:
    frames = await simulated()
    frames[4] = SPOILED
    table = capture(tmp_path, frames)
    assert await payloads(CaptureFeed(table, speed=0)) == frames
    assert await payloads(CaptureFeed(table, speed=0), 4) == frames[4:]


async def test_of_two_feeds_one_must_be_named(tmp_path: Path) -> None:
    first, second = await simulated(), await simulated(seed=8)
    table = capture(tmp_path, first + second)
    with pytest.raises(FeedError) as raised:
        CaptureFeed(table, speed=0)
    assert raised.value.code == "FEED_AMBIGUOUS"
    assert await payloads(CaptureFeed(table, speed=0, feed=_head_name(second[0]))) == second
    with pytest.raises(FeedError) as raised:
        CaptureFeed(table, speed=0, feed="other")
    assert raised.value.code == "FEED_UNKNOWN"


def test_other_tables_cannot_be_replayed(tmp_path: Path) -> None:
    (tmp_path / "ticks_v1" / "_delta_log").mkdir(parents=True)
    with pytest.raises(FeedError) as raised:
        open_feed(FeedSettings(source=f"replay:{tmp_path / 'ticks_v1'}"))
    assert raised.value.code == "FEED_FILE_UNREADABLE"


async def test_a_closed_capture_ends(tmp_path: Path) -> None:
    feed = CaptureFeed(capture(tmp_path, await simulated()), speed=1)
    await feed.close()
    assert await payloads(feed) == []


def _head_name(payload: bytes) -> str:
    head = read_head(payload)
    assert head is not None
    return head.feed
