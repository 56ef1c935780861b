"""What every broker must do: one suite for the embedded log and for Apache Kafka."""

import asyncio
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiokafka.partitioner import murmur2

from streaming.transport.client import MAX_MESSAGE_BYTES, BrokerClient, BrokerError, Record, TopicSpec
from streaming.transport.connect import connect, faust_broker_url
from tests.streaming.transport.apps import make_app, running, until
from trading.market.shards import shard_of

WRITER = Path(__file__).with_name("crash_writer.py")


def reached(counts: dict[str, int], name: str, wanted: int) -> bool:
    """Say whether a count is there."""
    return counts[name] >= wanted


async def read_all(client: BrokerClient, topic: str, partition: int = 0, start: int = 0) -> list[Record]:
    """Return the records from `start` to the end."""
    return [record async for record in client.read(topic, partition, start, 1 << 60)]


async def test_records_come_back_in_order_with_dense_offsets(client: BrokerClient, topic: str) -> None:
    await client.create_topics([TopicSpec(topic, 2)])
    batches = [[(b"k%d" % i, b"v%d-%d" % (i, j)) for j in range(i % 7 + 1)] for i in range(60)]
    firsts = [await client.append(topic, 1, batch) for batch in batches]
    flat = [message for batch in batches for message in batch]
    assert firsts == [sum(len(b) for b in batches[:i]) for i in range(len(batches))]
    assert await read_all(client, topic, 1) == [Record(topic, 1, o, k, v) for o, (k, v) in enumerate(flat)]
    assert await client.begin_offset(topic, 1) == 0
    assert await client.end_offset(topic, 1) == len(flat)
    assert await client.end_offset(topic, 0) == 0
    assert await client.spans([(topic, 1), (topic, 0)]) == {(topic, 1): (0, len(flat)), (topic, 0): (0, 0)}
    assert await client.spans([]) == {}


async def test_the_first_appends_of_a_client_keep_their_order_too(url: str, client: BrokerClient, topic: str) -> None:
    await client.create_topics([TopicSpec(topic, 1)])
    fresh = connect(url)
    await fresh.start()
    tasks = []
    for number in range(200):
        tasks.append(asyncio.create_task(fresh.append(topic, 0, [(None, b"%d" % number)])))
        await asyncio.sleep(0)
    assert await asyncio.gather(*tasks) == list(range(200))
    await fresh.stop()


async def test_concurrent_appends_keep_the_order_in_which_they_were_called(client: BrokerClient, topic: str) -> None:
    await client.create_topics([TopicSpec(topic, 1)])
    firsts = await asyncio.gather(*(client.append(topic, 0, [(None, b"%d" % i)]) for i in range(500)))
    assert list(firsts) == list(range(500))
    assert [record.value for record in await read_all(client, topic)] == [b"%d" % i for i in range(500)]


async def test_a_large_batch_is_one_run_of_offsets(client: BrokerClient, topic: str) -> None:
    await client.create_topics([TopicSpec(topic, 1)])
    await client.append(topic, 0, [(None, b"first")])
    big = [(b"k", b"x" * 60_000)] * 30
    first, after = await asyncio.gather(client.append(topic, 0, big), client.append(topic, 0, [(None, b"after")]))
    assert (first, after) == (1, 31)


async def test_null_and_empty_parts_differ(client: BrokerClient, topic: str) -> None:
    await client.create_topics([TopicSpec(topic, 1)])
    pairs = [(None, b""), (b"", b"v"), (b"k", None), (b"", b"")]
    await client.append(topic, 0, pairs)
    assert [(r.key, r.value) for r in await read_all(client, topic)] == pairs


async def test_replay_starts_at_any_offset_and_is_bounded(client: BrokerClient, topic: str) -> None:
    await client.create_topics([TopicSpec(topic, 1)])
    await client.append(topic, 0, [(None, b"%d" % i) for i in range(3_000)])
    for start, stop in [(0, 1), (1, 2), (1_499, 1_502), (2_990, 9_999), (3_000, 3_001), (5, 5)]:
        got = [record.offset async for record in client.read(topic, 0, start, stop)]
        assert got == list(range(start, min(stop, 3_000)))


async def test_a_ten_megabyte_message_passes_and_a_larger_one_than_allowed_is_refused(
    client: BrokerClient, topic: str
) -> None:
    await client.create_topics([TopicSpec(topic, 1)])
    big = bytes(10_000_000)
    assert await client.append(topic, 0, [(None, b"small"), (None, big), (None, b"small")]) == 0
    with pytest.raises(BrokerError, match=str(MAX_MESSAGE_BYTES)) as refusal:
        await client.append(topic, 0, [(None, bytes(MAX_MESSAGE_BYTES + 1))])
    assert (refusal.value.code, refusal.value.retriable) == ("MESSAGE_TOO_LARGE", False)
    assert [r.value for r in await read_all(client, topic)] == [b"small", big, b"small"]


async def test_topics_keep_their_partition_count(client: BrokerClient, topic: str) -> None:
    await client.create_topics([TopicSpec(topic, 2)])
    await client.create_topics([TopicSpec(topic, 2)])
    with pytest.raises(BrokerError, match="has 2 partitions, 3 were asked for") as refusal:
        await client.create_topics([TopicSpec(topic, 3)])
    assert refusal.value.code == "TOPIC_MISMATCH"


async def test_an_unknown_topic_is_named(client: BrokerClient) -> None:
    with pytest.raises(BrokerError, match="nowhere") as refusal:
        await client.append("nowhere", 0, [(None, b"v")])
    assert refusal.value.code == "TOPIC_UNKNOWN"


async def test_a_client_that_is_not_started_says_so(url: str) -> None:
    idle = connect(url)
    with pytest.raises(BrokerError) as refusal:
        await idle.end_offset("t", 0)
    assert refusal.value.code == "NOT_STARTED"
    await idle.stop()


async def test_two_clients_see_the_same_log(client: BrokerClient, url: str, topic: str) -> None:
    await client.create_topics([TopicSpec(topic, 1)])
    other = connect(url)
    await other.start()
    try:
        assert await client.append(topic, 0, [(None, b"a")]) == 0
        assert await other.append(topic, 0, [(None, b"b")]) == 1
        assert [r.value for r in await read_all(client, topic)] == [b"a", b"b"]
    finally:
        await other.stop()
    assert await client.append(topic, 0, [(None, b"c")]) == 2


@pytest.mark.timeout(120)
async def test_a_killed_writer_leaves_every_acknowledged_record_and_no_half_one(url: str, topic: str) -> None:
    client = connect(url)
    await client.start()
    await client.create_topics([TopicSpec(topic, 1)])
    await client.stop()
    command = [sys.executable, str(WRITER), url, topic]
    writer = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert writer.stdout is not None
    lines = [await writer.stdout.readline() for _ in range(300)]
    writer.kill()
    lines += (await writer.stdout.read()).splitlines(keepends=True)
    await writer.wait()
    acknowledged = [int(line) for line in lines if line.endswith(b"\n")]
    client = connect(url)
    await client.start()
    records = await read_all(client, topic)
    await client.stop()
    assert len(records) >= max(acknowledged) >= 299
    assert [r.offset for r in records] == list(range(len(records)))
    assert all(r.value == b"%d" % r.offset * 50 for r in records)


async def test_a_stream_sees_each_record_once_and_a_restart_goes_on_at_the_commit(
    client: BrokerClient, url: str, topic: str, tmp_path: Path
) -> None:
    await client.create_topics([TopicSpec(topic, 2)])
    group, seen = f"g-{topic}", list[tuple[int, int, bytes]]()

    def handle(event: Any) -> bool:
        seen.append((event.message.partition, event.message.offset, event.value))
        return True

    for number in range(200):
        await client.append(topic, number % 2, [(b"k", b"%d" % number)])
    async with running(make_app(url, group, topic, handle, tmp_path)):
        await until(lambda: len(seen) >= 200)
        await client.append(topic, 0, [(b"k", b"live")])
        await until(lambda: len(seen) >= 201)
    assert sorted(seen) == sorted([(n % 2, n // 2, b"%d" % n) for n in range(200)] + [(0, 100, b"live")])
    assert [await client.committed(group, topic, p) for p in (0, 1)] == [101, 100]
    assert await client.all_committed(group, topic, [1, 0]) == {1: 100, 0: 101}
    assert await client.all_committed(f"not-{group}", topic, [0]) == {0: None}
    seen.clear()
    await client.append(topic, 1, [(b"k", b"later")])
    async with running(make_app(url, group, topic, handle, tmp_path)):
        await until(lambda: seen)
    assert seen == [(1, 100, b"later")]


async def test_one_unacknowledged_record_in_front_of_acknowledged_ones_holds_the_commit(
    client: BrokerClient, url: str, topic: str, tmp_path: Path
) -> None:
    await client.create_topics([TopicSpec(topic, 1)])
    await client.append(topic, 0, [(None, b"%d" % n) for n in range(10)])
    group, seen = f"g-{topic}", list[int]()

    def all_but_five(event: Any) -> bool:
        seen.append(event.message.offset)
        return bool(event.message.offset != 5)

    async with running(make_app(url, group, topic, all_but_five, tmp_path)):
        await until(lambda: len(seen) >= 10)
    assert await client.committed(group, topic, 0) == 5
    seen.clear()
    async with running(make_app(url, group, topic, lambda event: seen.append(event.message.offset), tmp_path)):
        await until(lambda: len(seen) >= 5)
    assert seen == [5, 6, 7, 8, 9]
    assert await client.committed(group, topic, 0) == 5


async def test_groups_are_independent(client: BrokerClient, url: str, topic: str, tmp_path: Path) -> None:
    await client.create_topics([TopicSpec(topic, 1)])
    await client.append(topic, 0, [(None, b"v")] * 10)
    counts = {"a": 0, "b": 0}

    def counter(name: str) -> Any:
        def count(event: Any) -> bool:
            counts[name] += 1
            return True

        return count

    for name in counts:
        async with running(make_app(url, f"{name}-{topic}", topic, counter(name), tmp_path)):
            await until(partial(reached, counts, name, 10))
    assert counts == {"a": 10, "b": 10}
    assert await client.committed("nobody", topic, 0) is None


async def test_a_full_stream_buffer_does_not_stall_the_stream(
    client: BrokerClient, url: str, topic: str, tmp_path: Path
) -> None:
    await client.create_topics([TopicSpec(topic, 1)])
    await client.append(topic, 0, [(None, b"%d" % n) for n in range(20_000)])
    seen: list[int] = []

    def handle(event: Any) -> bool:
        seen.append(event.message.offset)
        return True

    async with running(make_app(url, f"g-{topic}", topic, handle, tmp_path, stream_buffer_maxsize=64)):
        await until(lambda: len(seen) >= 20_000)
    assert seen == list(range(20_000))
    assert await client.committed(f"g-{topic}", topic, 0) == 20_000


async def test_faust_sends_to_the_murmur2_partition_of_the_key(
    client: BrokerClient, url: str, topic: str, tmp_path: Path
) -> None:
    await client.create_topics([TopicSpec(topic, 7)])
    app = make_app(url, f"g-{topic}", topic, lambda event: True, tmp_path)
    keys = [f"SYM{n}.SIM" for n in range(50)]
    async with running(app):
        sent = [await app.producer.send_and_wait(topic, k.encode(), b"v", None, None, None) for k in keys]
    assert [m.partition for m in sent] == [(murmur2(k.encode()) & 0x7FFFFFFF) % 7 for k in keys]
    assert [m.partition for m in sent] == [shard_of(k, 7) for k in keys]


def test_both_schemes_lead_to_our_transports(url: str) -> None:
    from faust.transport.drivers import by_url

    assert by_url(faust_broker_url(url)).__module__.startswith("streaming.transport.")


async def test_a_compacted_topic_keeps_the_newest_record_of_each_key_at_its_offset(
    client: BrokerClient, topic: str
) -> None:
    await client.create_topics([TopicSpec(topic, 1, compacted=True)])
    last: dict[bytes, tuple[int, bytes | None]] = {}
    for turn in range(20):
        messages = [(b"k%d" % n, b"%d-%d" % (turn, n)) for n in range(5)]
        first = await client.append(topic, 0, messages)
        last |= {key: (first + n, value) for n, (key, value) in enumerate(messages)}
    last[b"k0"] = (await client.append(topic, 0, [(b"k0", None)]), None)
    records = await read_all(client, topic)
    assert {r.key: (r.offset, r.value) for r in records} == last
    assert [r.offset for r in records] == sorted({r.offset for r in records})
    with pytest.raises(BrokerError):
        await client.append(topic, 0, [(None, b"no key")])
