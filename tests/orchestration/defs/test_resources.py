"""Every stage shares one home, and a run is one process."""

import dagster as dg

from orchestration.defs.resources import shared
from orchestration.home import Home


def test_resources_and_executor() -> None:
    found = shared()
    assert isinstance((found.resources or {})["home"], Home)
    assert found.executor is dg.in_process_executor
