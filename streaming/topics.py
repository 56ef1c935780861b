"""Topics are created here, by an admin step before any app starts, with the partition counts of the settings."""

from collections.abc import Iterable

from streaming.settings import Settings
from streaming.transport.client import BrokerClient, TopicSpec
from trading.schemas import ORDER_TOPICS, TOPICS, Topic


def partitions_of(topic: Topic, settings: Settings) -> int:
    """Return how many partitions a topic has."""
    counts = {
        "one": 1,
        "raw": settings.market.raw_partitions,
        "market": settings.market.shards,
        "orders": settings.orders.partitions,
    }
    return counts[topic.partitions]


def setting_of(message: str) -> str:
    """Return the key of the partition count of the first topic that a message names."""
    keys = {"raw": "market.raw_partitions", "market": "market.shards", "orders": "orders.partitions"}
    named = [topic for topic in (*TOPICS, *ORDER_TOPICS) if f"topic {topic.name!r}" in message]
    return next((keys[topic.partitions] for topic in named if topic.partitions in keys), "broker")


def specs(settings: Settings, extra: Iterable[str] = ()) -> list[TopicSpec]:
    """Return the topics of the platform, then those of user flows that it does not know, with one partition each."""
    kept = dict.fromkeys(TOPICS, settings.market.retention_mb << 20)
    known = [
        TopicSpec(topic.name, partitions_of(topic, settings), topic.compacted, kept.get(topic, topic.retention_bytes))
        for topic in (*TOPICS, *ORDER_TOPICS)
    ]
    names = {spec.name for spec in known}
    return known + [TopicSpec(name, 1) for name in sorted(set(extra) - names)]


async def create(client: BrokerClient, settings: Settings, extra: Iterable[str] = ()) -> list[TopicSpec]:
    """Create what is missing and return all specs; a count that differs from the broker's is `TOPIC_MISMATCH`."""
    wanted = specs(settings, extra)
    await client.create_topics(wanted)
    return wanted
