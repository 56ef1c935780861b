"""The gate's own platform: it is what `trade up` starts, and what befalls it is told."""

import os
import signal

import pytest

from orchestration.commands.failure import CommandError
from orchestration.gate import place
from tests.streaming.poll import until_sync


def test_a_platform_that_cannot_start_says_why() -> None:
    with pytest.raises(CommandError, match=r"GATE_PLATFORM_FAILED.*TRADE_BROKER"), place.platform("redis://x", None):
        pass


def test_it_has_every_role_and_tells_of_a_process_that_died(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "ACCOUNTS", 1)
    with place.platform("log://", None) as own:
        page = own.site.status()
        assert {"orders", "route", "strategy", "sink-journal", "sink-frames"} <= set(page["roles"])
        assert own.restarts() == {"worker": 0}
        os.kill(page["pid"], signal.SIGKILL)
        until_sync(lambda: own.restarts() == {"worker": 1}, within_s=60.0)
        until_sync(lambda: own.site.status().get("state") == "ready", within_s=60.0)
        assert own.stop() == 0
        with pytest.raises(CommandError, match="NO_SUPERVISOR"):
            own.restarts()
