"""Repeat a durable effect until it goes through. A wait is never silent: it is logged once, and shown in /status."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import structlog

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 5.0

T = TypeVar("T")
_log = structlog.get_logger("retries")


class Retries:
    """The retries of one processor: how many there were, and what it waits for now."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0
        self._waiting: dict[str, Any] | None = None

    async def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return `await call()`, repeated while it raises an error whose `retriable` is true. Others pass through."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                result = await call()
            except Exception as error:
                if not getattr(error, "retriable", False):
                    raise
                self._note(str(getattr(error, "code", type(error).__name__)), str(error))
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                self._done()
                return result

    @property
    def waiting(self) -> Mapping[str, Any] | None:
        """Return `code`, `message` and `since` (UTC seconds) of the wait that goes on, or None."""
        return self._waiting

    def stats(self) -> dict[str, Any]:
        """Return `retries` and `waiting`, to be merged into the stats of the processor."""
        return {"retries": self._count, "waiting": self._waiting}

    def _note(self, code: str, message: str) -> None:
        self._count += 1
        if self._waiting is None or self._waiting["code"] != code:
            self._waiting = {"code": code, "message": message, "since": time.time()}
            _log.warning("waiting", of=self._name, code=code, message=message)

    def _done(self) -> None:
        if self._waiting is not None:
            _log.info("going_on", of=self._name, after=self._waiting["code"])
            self._waiting = None


async def retry_durable(call: Callable[[], Awaitable[T]], retries: Retries) -> T:
    """Return `await call()`, repeated with bounded exponential backoff while its error is retriable."""
    return await retries.run(call)
