"""A Kafka node of its own for a test: the topics of the order path have fixed names."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kafka_node import KafkaNode


@pytest.fixture
async def node(kafka_node: KafkaNode, tmp_path: Path) -> AsyncIterator[KafkaNode]:
    """Return a fresh node that runs; skips where the node of the session does."""
    assert kafka_node.url
    folder = tmp_path / "node"
    folder.mkdir()
    fresh = KafkaNode(folder)
    await asyncio.to_thread(fresh.start)
    yield fresh
    await asyncio.to_thread(fresh.stop)


@pytest.fixture
def broker(node: KafkaNode) -> str:
    """Return the url of the fresh node."""
    return node.url
