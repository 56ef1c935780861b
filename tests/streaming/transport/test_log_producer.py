"""What streams send on the embedded log."""

import asyncio
from pathlib import Path

import pytest

from streaming.transport.client import BrokerError, TopicSpec
from streaming.transport.log_client import LogClient
from tests.streaming.transport.apps import make_app, running


async def test_sends_keep_their_order_and_tell_their_offsets(tmp_path: Path) -> None:
    url = f"log://{tmp_path}/log"
    client = LogClient(tmp_path / "log")
    await client.start()
    await client.create_topics([TopicSpec("in", 1), TopicSpec("out", 1)])
    app = make_app(url, "g", "in", lambda event: True, tmp_path)
    async with running(app):
        sent = [await app.producer.send("out", None, b"%d" % n, 0, None, None) for n in range(50)]
        await app.producer.flush()
        assert [record.offset for record in await asyncio.gather(*sent)] == list(range(50))
        with pytest.raises(BrokerError) as refusal:
            await app.producer.send_and_wait("nowhere", b"k", b"v", None, None, None)
        await app.producer.create_topic("made", 3, 1, compacting=True)
        await app.producer.create_topic("made", 5, 1)
        assert app.producer.key_partition("made", b"k").partition in range(3)
        assert not app.producer.supports_headers()
    assert refusal.value.code == "TOPIC_UNKNOWN"
    assert [r.value async for r in client.read("out", 0, 0, 99)] == [b"%d" % n for n in range(50)]
    await client.stop()
    with pytest.raises(BrokerError) as refusal:
        await app.producer.send("out", None, b"v", 0, None, None)
    assert refusal.value.code == "NOT_STARTED"
