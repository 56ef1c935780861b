"""The two brokers that the contract suite runs on."""

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from streaming.transport.client import BrokerClient
from streaming.transport.connect import connect

_numbers = itertools.count()


@pytest.fixture(params=["log", pytest.param("kafka", marks=pytest.mark.kafka)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the URL of a broker that is up: an empty log, or the Kafka node of the session."""
    if request.param == "log":
        yield f"log://{tmp_path}/log"
    else:
        yield request.getfixturevalue("kafka_node").url


@pytest.fixture
async def client(url: str) -> AsyncIterator[BrokerClient]:
    """Return a started client."""
    started = connect(url)
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
def topic() -> str:
    """Return a topic name that no other test uses."""
    return f"t{next(_numbers)}"
