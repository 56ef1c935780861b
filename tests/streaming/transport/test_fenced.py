"""What a fenced writer promises on both brokers."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from streaming.transport.client import BrokerClient, BrokerError, TopicSpec
from streaming.transport.fenced import BARRIER_KEY, FencedWriter, LogFencedWriter, fenced_writer
from streaming.transport.log_client import LogClient

TIMEOUT_S = 5.0


@pytest.fixture
async def topics(client: BrokerClient, topic: str) -> tuple[str, str]:
    """Return a journal and a state topic of two partitions."""
    names = (f"{topic}.journal", f"{topic}.state")
    await client.create_topics([TopicSpec(names[0], 2), TopicSpec(names[1], 2, compacted=True)])
    return names


@pytest.fixture
async def writer(url: str, client: BrokerClient, topics: tuple[str, str]) -> AsyncIterator[FencedWriter]:
    """Return a writer of partition 1 that has not taken over."""
    made = fenced_writer(url, client, topics[0], topics, 1, TIMEOUT_S)
    yield made
    await made.stop()


async def values(client: BrokerClient, topic: str, partition: int = 1) -> list[bytes | None]:
    end = await client.end_offset(topic, partition)
    return [r.value async for r in client.read(topic, partition, 0, end) if r.key != BARRIER_KEY]


async def test_the_first_own_record_is_where_the_take_over_said(
    client: BrokerClient, writer: FencedWriter, topics: tuple[str, str]
) -> None:
    journal, state = topics
    end = await writer.take_over()
    assert await writer.append(journal, [(b"k", b"1"), (b"k", b"2")]) == end
    assert await writer.append(journal, [(b"k", b"3")]) == end + 2
    await writer.append(state, [(b"row", b"x"), (b"gone", None)])
    assert await values(client, journal) == [b"1", b"2", b"3"]
    assert await values(client, state) == [b"x", None]
    assert await values(client, journal, 0) == []


async def test_a_second_take_over_goes_on_behind_the_first(
    client: BrokerClient, writer: FencedWriter, topics: tuple[str, str]
) -> None:
    journal = topics[0]
    end = await writer.take_over()
    await writer.append(journal, [(b"k", b"1")])
    again = await writer.take_over()
    assert again - (end + 1) in (0, 1)
    assert await writer.append(journal, [(b"k", b"2")]) == again
    assert await values(client, journal) == [b"1", b"2"]


async def test_a_group_of_several_batches_keeps_its_order(
    client: BrokerClient, writer: FencedWriter, topics: tuple[str, str]
) -> None:
    journal = topics[0]
    end = await writer.take_over()
    group = [(b"k", b"%06d" % n + b"x" * 2_000) for n in range(600)]
    assert await writer.append(journal, group) == end
    assert [v[:6] for v in await values(client, journal) if v] == [b"%06d" % n for n in range(600)]


@pytest.mark.kafka
async def test_the_broker_refuses_the_stale_owner(request: pytest.FixtureRequest, topic: str) -> None:
    from streaming.transport.connect import connect

    url = request.getfixturevalue("kafka_node").url
    client = connect(url)
    await client.start()
    await client.create_topics([TopicSpec(f"{topic}.j", 1), TopicSpec(f"{topic}.s", 1, compacted=True)])
    names = (f"{topic}.j", f"{topic}.s")
    old, new = (fenced_writer(url, client, topic, names, 0, TIMEOUT_S) for _ in range(2))
    await old.take_over()
    await old.append(names[0], [(b"k", b"old")])
    end = await new.take_over()
    for name in names:
        with pytest.raises(BrokerError) as caught:
            await old.append(name, [(b"k", b"stale")])
        assert caught.value.code == "FENCED"
    assert await new.append(names[0], [(b"k", b"new")]) == end
    assert await values(client, names[0], 0) == [b"old", b"new"]
    await old.stop()
    await new.stop()
    await client.stop()


async def test_a_take_over_on_the_log_waits_for_what_is_still_being_written(tmp_path: Path) -> None:
    held: list[asyncio.Future[None]] = []

    class Slow(LogClient):
        def queue(
            self, topic: str, partition: int, messages: Sequence[tuple[bytes | None, bytes | None]]
        ) -> tuple[int, "asyncio.Future[None]"]:
            first, _ = super().queue(topic, partition, messages)
            held.append(asyncio.get_running_loop().create_future())
            return first, held[-1]

    client = Slow(tmp_path)
    await client.start()
    await client.create_topics([TopicSpec("j", 1)])
    writer = LogFencedWriter(client, ("j",), 0, 0.01)
    with pytest.raises(BrokerError) as caught:
        await writer.append("j", [(b"k", b"late")])
    assert (caught.value.code, caught.value.retriable) == ("PRODUCE_TIMEOUT", True)
    taking = asyncio.create_task(writer.take_over())
    await asyncio.sleep(0)
    assert not taking.done()
    held[0].set_result(None)
    assert await taking == 1
    await writer.stop()
    await client.stop()
