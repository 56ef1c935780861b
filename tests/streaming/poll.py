"""Wait for a condition instead of sleeping."""

import asyncio
import time
from collections.abc import Callable

POLL_S = 0.01


async def until(condition: Callable[[], bool], *, within_s: float = 20.0) -> None:
    """Return once the condition holds; fail when it does not within `within_s`."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(POLL_S)


def until_sync(condition: Callable[[], bool], *, within_s: float = 30.0) -> None:
    """Return once the condition holds, for code without an event loop."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(POLL_S)
