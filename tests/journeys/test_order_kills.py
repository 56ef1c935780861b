"""kill -9 of API, owner, gateway and paper venue at random moments under 500 orders/s: no order lost, none doubled."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.order_kills import sweep
from tests.kafka_node import KafkaNode

KILLS, SOAK_KILLS = 10, 50
SOAK_S = 3_600


@pytest.fixture
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return a Kafka node with empty topics; the session's node says whether one can run here."""
    assert request.getfixturevalue("kafka_node").url
    folder = tmp_path / "kafka"
    folder.mkdir()
    node = KafkaNode(folder)
    node.start()
    yield node.url
    node.stop()


async def test_ten_kills(tmp_path: Path) -> None:
    await sweep(tmp_path / "home", "log://", KILLS)


@pytest.mark.kafka
async def test_ten_kills_on_kafka(tmp_path: Path, broker: str) -> None:
    await sweep(tmp_path / "home", broker, KILLS)


@pytest.mark.soak
@pytest.mark.timeout(SOAK_S)
async def test_fifty_kills(tmp_path: Path) -> None:
    await sweep(tmp_path / "home", "log://", SOAK_KILLS)


@pytest.mark.soak
@pytest.mark.kafka
@pytest.mark.timeout(SOAK_S)
async def test_fifty_kills_on_kafka(tmp_path: Path, broker: str) -> None:
    await sweep(tmp_path / "home", broker, SOAK_KILLS)
