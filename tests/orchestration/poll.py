"""Waiting for a condition, within a bound."""

import time
from collections.abc import Callable

WAIT_S = 30.0
EVERY_S = 0.02


def until(condition: Callable[[], bool], what: str) -> None:
    """Return as soon as `condition()` holds; fail with `what` when the bound is over."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {WAIT_S:g} s in vain: {what}")
        time.sleep(EVERY_S)
