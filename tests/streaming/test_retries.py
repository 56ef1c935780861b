"""Retries go on while the error may go away, and pass on every other one."""

import pytest

from streaming import retries
from streaming.retries import Retries, retry_durable
from streaming.transport.client import BrokerError


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_PAUSE_S", 0.0)


class Flaky:
    """Fails as told, then returns 7. Remembers what the retries said meanwhile."""

    def __init__(self, state: Retries, *errors: Exception) -> None:
        self.state, self.errors = state, list(errors)
        self.seen: list[str | None] = []

    async def __call__(self) -> int:
        self.seen.append(self.state.waiting["code"] if self.state.waiting else None)
        if self.errors:
            raise self.errors.pop(0)
        return 7


async def test_a_retriable_error_is_repeated_until_it_is_gone() -> None:
    state = Retries("sink")
    call = Flaky(state, BrokerError("DISK_FULL", "x", retriable=True), BrokerError("TIMEOUT", "x", retriable=True))
    assert await retry_durable(call, state) == 7
    assert call.seen == [None, "DISK_FULL", "TIMEOUT"]
    assert state.stats() == {"retries": 2, "waiting": None}


async def test_another_error_passes_through() -> None:
    state = Retries("sink")
    with pytest.raises(BrokerError, match="for good"):
        await state.run(Flaky(state, BrokerError("FSYNC_FAILED", "for good")))
    with pytest.raises(ValueError, match="bug"):
        await state.run(Flaky(state, ValueError("bug")))
