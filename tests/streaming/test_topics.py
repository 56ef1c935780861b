"""Topics come from the schemas and the settings, never from auto-creation."""

import pytest

from streaming import topics
from streaming.settings import MarketSettings, Settings
from streaming.transport.client import BrokerError
from tests.streaming.memory_broker import MemoryBroker
from trading.schemas import ORDER_TOPICS, TOPICS


def settings(**market: int) -> Settings:
    return Settings(market=MarketSettings.model_validate(market))


def test_counts_follow_the_settings() -> None:
    counts = {spec.name: spec.partitions for spec in topics.specs(settings(raw_partitions=3, shards=4))}
    market = {name: counts.pop(name) for name in ("ticks.raw", "ticks", "bars", "prices", "deadletter")}
    assert market == {"ticks.raw": 3, "ticks": 4, "bars": 4, "prices": 4, "deadletter": 1}
    assert counts == {"orders.commands": 4, "orders.journal": 4, "orders.state": 4, "owners": 1}


def test_every_topic_of_the_schemas_is_there_and_tables_are_compacted() -> None:
    specs = topics.specs(settings())
    assert [spec.name for spec in specs] == [topic.name for topic in (*TOPICS, *ORDER_TOPICS)]
    assert [spec.name for spec in specs if spec.compacted] == ["prices", "orders.state", "owners"]


def test_market_data_is_kept_as_the_settings_say_and_orders_are_not_touched_by_it() -> None:
    kept = {spec.name: spec.retention_bytes for spec in topics.specs(settings(retention_mb=100))}
    assert {name for name, size in kept.items() if size == 100 << 20} == {topic.name for topic in TOPICS}
    assert {kept[topic.name] for topic in ORDER_TOPICS} == {4 << 30}


def test_an_unknown_topic_of_a_user_flow_gets_one_partition() -> None:
    assert topics.specs(settings(), ["mine", "ticks"])[-1] == ("mine", 1, False, 4 << 30)


async def test_creation_can_be_repeated_but_a_count_cannot_change() -> None:
    broker = MemoryBroker()
    await topics.create(broker, settings(shards=2))
    await topics.create(broker, settings(shards=2))
    with pytest.raises(BrokerError, match="2 partitions"):
        await topics.create(broker, settings(shards=3))
