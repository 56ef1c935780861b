"""A Kafka node of its own for a test: the topics of the order path have fixed names."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kafka_node import KafkaNode


@pytest.fixture
async def broker(kafka_node: KafkaNode, tmp_path: Path) -> AsyncIterator[str]:
    """Return the url of a fresh node; skips where the node of the session does."""
    assert kafka_node.url
    folder = tmp_path / "node"
    folder.mkdir()
    node = KafkaNode(folder)
    await asyncio.to_thread(node.start)
    yield node.url
    await asyncio.to_thread(node.stop)
