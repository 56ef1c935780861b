"""Fixtures that every test may use."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kafka_node import kafka_node, own_node
from tests.ports import free_ports

__all__ = ["free_port", "kafka_node", "own_node", "shared_data"]
ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture
def free_port() -> int:
    """Return a port of the loopback interface that nobody used a moment ago."""
    return free_ports(1)[0]


@pytest.fixture
def shared_data() -> Callable[[str], Path]:
    """Return a function from a file name to the real data file; the test skips where the data folder is absent."""

    def find(name: str) -> Path:
        file = SHARED_DATA / name
        if not file.exists():
            pytest.skip(f"no data file ../shared/data/{name} beside the repository")
        return file

    return find
