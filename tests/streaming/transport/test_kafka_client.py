"""The Kafka client when the broker does not answer; what it does otherwise is in the contract suite."""

import pytest

from streaming.transport.client import BrokerError, TopicSpec
from streaming.transport.kafka_client import KafkaClient
from tests.kafka_node import KafkaNode

TIMEOUT_MS = 1_500


def client_of(url: str) -> KafkaClient:
    """Return a client that gives up early."""
    return KafkaClient(url.removeprefix("kafka://"), produce_timeout_ms=TIMEOUT_MS)


@pytest.mark.kafka
async def test_a_broker_that_hangs_is_a_retriable_timeout_and_the_client_recovers(
    kafka_node: KafkaNode, topic: str
) -> None:
    client = client_of(kafka_node.url)
    await client.start()
    await client.create_topics([TopicSpec(topic, 1)])
    await client.append(topic, 0, [(None, b"before")])
    kafka_node.pause()
    try:
        with pytest.raises(BrokerError) as refusal:
            await client.append(topic, 0, [(None, b"during")])
    finally:
        kafka_node.resume()
    assert (refusal.value.code, refusal.value.retriable) == ("PRODUCE_TIMEOUT", True)
    end = await client.append(topic, 0, [(None, b"after")])
    records = [record.value async for record in client.read(topic, 0, 0, end + 1)]
    assert (records[0], records[-1]) == (b"before", b"after")
    await client.stop()


@pytest.mark.kafka
async def test_a_killed_broker_keeps_what_it_acknowledged(kafka_node: KafkaNode, topic: str) -> None:
    client = client_of(kafka_node.url)
    await client.start()
    await client.create_topics([TopicSpec(topic, 1)])
    for number in range(100):
        await client.append(topic, 0, [(None, b"%d" % number)])
    kafka_node.kill()
    kafka_node.start()
    await client.stop()
    client = KafkaClient(kafka_node.url.removeprefix("kafka://"))
    await client.start()
    await client.create_topics([TopicSpec(topic, 1)])
    assert [record.value async for record in client.read(topic, 0, 0, 1 << 60)] == [b"%d" % n for n in range(100)]
    assert await client.append(topic, 0, [(None, b"more")]) == 100
    await client.stop()


async def test_a_broker_that_is_not_there_is_named(free_port: int) -> None:
    client = client_of(f"kafka://127.0.0.1:{free_port}")
    with pytest.raises(BrokerError, match=str(free_port)) as refusal:
        await client.start()
    assert (refusal.value.code, refusal.value.retriable) == ("BROKER_UNREACHABLE", True)
    await client.stop()
