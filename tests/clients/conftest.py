"""A served order API with funded accounts, for clients of other people."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api_rig import Rig, Served


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Return the address of a running API."""
    with Served(Rig(tmp_path)) as server:
        server.do(server.rig.fund("a", "b"))
        server.do(server.rig.fund("poor", cash="100"))
        yield server
