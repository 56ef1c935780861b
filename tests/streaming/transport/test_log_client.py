"""What only the embedded log's client promises."""

import asyncio
from pathlib import Path

import pytest

from streaming.transport.client import BrokerError, TopicSpec
from streaming.transport.log_client import LogClient


async def test_a_read_ends_where_the_log_ended_when_it_began(tmp_path: Path) -> None:
    client = LogClient(tmp_path)
    await client.start()
    await client.create_topics([TopicSpec("t", 1)])
    await client.append("t", 0, [(None, b"%d" % n) for n in range(10)])
    seen = []
    async for record in client.read("t", 0, 0, 1 << 60):
        seen.append(record.offset)
        await client.append("t", 0, [(None, b"new")])
    assert seen == list(range(10))
    await client.stop()
    await client.stop()


async def test_all_users_leave_before_the_folder_is_free(tmp_path: Path) -> None:
    clients = [LogClient(tmp_path) for _ in range(3)]
    for client in clients:
        await client.start()
        await client.start()
    await clients[0].create_topics([TopicSpec("t", 1)])
    appends = [asyncio.create_task(clients[0].append("t", 0, [(None, b"v")])) for _ in range(20)]
    await asyncio.sleep(0)
    for client in clients:
        await client.stop()
    assert await asyncio.gather(*appends) == list(range(20))
    with pytest.raises(BrokerError) as refusal:
        await clients[0].end_offset("t", 0)
    assert refusal.value.code == "NOT_STARTED"


async def test_a_key_is_needed_where_it_decides_what_is_kept(tmp_path: Path) -> None:
    client = LogClient(tmp_path)
    await client.start()
    await client.create_topics([TopicSpec("prices", 1, compacted=True)])
    with pytest.raises(BrokerError) as refusal:
        await client.append("prices", 0, [(b"k", b"v"), (None, b"v")])
    assert refusal.value.code == "KEY_REQUIRED"
    assert await client.end_offset("prices", 0) == 0
    await client.stop()
