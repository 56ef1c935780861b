import asyncio
from pathlib import Path

import pytest

from streaming.adapters.feed import FeedError
from streaming.adapters.frame_head import read_head
from streaming.flow import FlowContext
from streaming.flows import ingest
from streaming.flows.ingest import Ingest
from streaming.settings import Settings
from streaming.transport.client import BrokerError
from tests.streaming.fake_feed import FakeFeed
from tests.streaming.memory_broker import MemoryBroker
from tests.streaming.poll import until
from trading.codec import MAX_MESSAGE_BYTES, decode
from trading.market.batches import empty_frame
from trading.messages import DeadLetter, Reject, Source


def frame(seq: int, *, eof: bool = False) -> bytes:
    return empty_frame(feed="fake", venue="SIM", seq=seq, clock_ns=1_000 + seq, eof=eof).encode()


FRAMES = [*(frame(seq) for seq in range(9)), frame(9, eof=True)]
TOO_LARGE = frame(4) + bytes(MAX_MESSAGE_BYTES)


def role(broker: MemoryBroker, feed: FakeFeed, tmp_path: Path) -> Ingest:
    return Ingest(FlowContext(Settings(home=tmp_path), tmp_path, broker), feed)


def sent(broker: MemoryBroker) -> list[bytes | None]:
    return [record.value for record in broker.records["ticks.raw", 0]]


def letters(broker: MemoryBroker) -> list[DeadLetter]:
    return [decode(record.value or b"", DeadLetter) for record in broker.records["deadletter", 0]]


async def test_every_frame_is_sent_in_order_with_the_venue_as_key(tmp_path: Path) -> None:
    broker, feed = MemoryBroker(), FakeFeed(FRAMES)
    flow = role(broker, feed, tmp_path)
    await flow.run()
    assert sent(broker) == FRAMES
    assert {record.key for record in broker.records["ticks.raw", 0]} == {b"SIM"}
    stats = flow.stats()
    assert stats["drained"]
    assert (stats["frames"], stats["clock_ns"], stats["fraction"], stats["error"]) == (10, 1_009, 1.0, None)
    assert feed.closed


@pytest.mark.parametrize("done", [0, 1, 5, 9])
async def test_a_restart_goes_on_behind_what_the_topic_holds(done: int, tmp_path: Path) -> None:
    broker, feed = MemoryBroker(), FakeFeed(FRAMES)
    await broker.append("ticks.raw", 0, [(b"SIM", payload) for payload in FRAMES[:done]])
    await role(broker, feed, tmp_path).run()
    assert feed.started_at == [done]
    assert sent(broker) == FRAMES


async def test_a_feed_that_has_ended_is_not_sent_again(tmp_path: Path) -> None:
    broker, feed = MemoryBroker(), FakeFeed(FRAMES)
    await role(broker, feed, tmp_path).run()
    again = role(broker, feed, tmp_path)
    await again.run()
    assert again.stats()["drained"]
    assert sent(broker) == FRAMES


async def test_a_feed_without_end_goes_on_behind_an_end(tmp_path: Path) -> None:
    broker, feed = MemoryBroker(), FakeFeed([*FRAMES, frame(10)], finite=False)
    await broker.append("ticks.raw", 0, [(b"SIM", payload) for payload in FRAMES])
    await role(broker, feed, tmp_path).run()
    assert sent(broker) == [*FRAMES, frame(10)]


async def test_a_frame_that_is_too_large_leaves_a_letter_and_an_empty_frame(tmp_path: Path) -> None:
    broker = MemoryBroker()
    flow = role(broker, FakeFeed([*FRAMES[:4], TOO_LARGE, *FRAMES[5:]]), tmp_path)
    await flow.run()
    heads = [read_head(payload or b"") for payload in sent(broker)]
    assert [head.seq for head in heads if head is not None] == list(range(10))
    (letter,) = letters(broker)
    assert (letter.topic, letter.src, letter.rejects[0].code) == ("fake", Source(-1, 4), "FRAME_TOO_LARGE")
    assert str(len(TOO_LARGE)) in letter.rejects[0].message
    assert flow.stats()["oversize"] == 1


async def test_letters_are_not_written_twice_after_a_kill_between_letter_and_frame(tmp_path: Path) -> None:
    frames = [*FRAMES[:4], TOO_LARGE, *FRAMES[5:]]
    broker = MemoryBroker()
    await role(broker, FakeFeed(frames), tmp_path).run()
    del broker.records["ticks.raw", 0][4:]
    await role(broker, FakeFeed(frames), tmp_path).run()
    assert len(letters(broker)) == 1
    assert len(sent(broker)) == 10


async def test_rows_that_cannot_be_read_are_lettered_in_bounded_messages(tmp_path: Path) -> None:
    rejects = [Reject(code="ROW_UNPARSEABLE", message=f"row {n}", row=n) for n in range(1_200)]
    broker = MemoryBroker()
    flow = role(broker, FakeFeed(FRAMES, rejects={3: rejects}), tmp_path)
    await flow.run()
    found = letters(broker)
    assert [len(letter.rejects) for letter in found] == [500, 500, 200]
    assert {letter.src for letter in found} == {Source(-1, 3)}
    assert flow.stats()["unreadable_rows"] == 1_200


async def test_a_frame_that_cannot_be_read_is_passed_on(tmp_path: Path) -> None:
    broker = MemoryBroker()
    await role(broker, FakeFeed([frame(0), b"spoiled", frame(2)]), tmp_path).run()
    assert sent(broker) == [frame(0), b"spoiled", frame(2)]


async def test_a_failing_feed_keeps_what_was_sent_and_tells(tmp_path: Path) -> None:
    broker = MemoryBroker()
    flow = role(broker, FakeFeed(FRAMES[:3], error=FeedError("FEED_FILE_UNREADABLE", "day: torn")), tmp_path)
    with pytest.raises(FeedError, match="torn"):
        await flow.run()
    assert sent(broker) == FRAMES[:3]
    assert [reject.code for letter in letters(broker) for reject in letter.rejects] == ["FEED_FILE_UNREADABLE"]
    assert flow.stats()["error"] == {"code": "FEED_FILE_UNREADABLE", "message": "day: torn"}
    assert not flow.stats()["drained"]


async def test_a_full_broker_slows_the_feed_down_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "QUEUE_FRAMES", 2)
    monkeypatch.setattr(ingest, "APPEND_FRAMES", 1)
    broker, feed = MemoryBroker(), FakeFeed(FRAMES)
    broker.fail_next = [BrokerError("LOG_FULL", "disk full", retriable=True)] * 3
    flow = role(broker, feed, tmp_path)
    running = asyncio.create_task(flow.run())
    await until(lambda: bool(flow.stats()["waiting"]))
    assert flow.stats()["waiting"]["code"] == "LOG_FULL"
    assert feed.yielded <= 4
    await running
    assert sent(broker) == FRAMES
    assert flow.stats()["waiting"] is None


async def test_an_error_that_does_not_pass_ends_the_role(tmp_path: Path) -> None:
    broker, feed = MemoryBroker(), FakeFeed(FRAMES)
    broker.fail_next = [BrokerError("FSYNC_FAILED", "disk gone")]
    with pytest.raises(BrokerError, match="disk gone"):
        await role(broker, feed, tmp_path).run()
    assert feed.closed


async def test_a_stop_sends_what_was_taken(tmp_path: Path) -> None:
    broker, feed = MemoryBroker(), FakeFeed([frame(seq) for seq in range(5_000)], finite=False)
    flow = role(broker, feed, tmp_path)
    running = asyncio.create_task(flow.run())
    await until(lambda: bool(sent(broker)))
    await flow.stop()
    await running
    assert len(sent(broker)) == feed.yielded
    assert not flow.stats()["drained"]
