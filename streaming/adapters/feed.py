"""The door to market data. A feed yields frames as bytes and owns the clock that everything downstream is judged by."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from trading.messages import Reject


class FeedError(Exception):
    """A feed that cannot start or go on. `code` is stable; the message says where and what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Closing:
    """Tells a feed that waits for its next frame that it is closed."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Close the feed."""
        self._event.set()

    async def wait_for(self, seconds: float) -> bool:
        """Wait until it is closed, at most for `seconds`, and let others run in any case; tell whether it is closed."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return self._event.is_set()
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        return True


class Feed(Protocol):
    """One source of raw frames. `name` is stable over restarts, because frames are counted by it."""

    @property
    def name(self) -> str:
        """Return the name that the frames carry."""

    @property
    def venue(self) -> str:
        """Return the venue that the symbols belong to."""

    def frames(self, start_seq: int) -> AsyncIterator[bytes]:
        """Yield encoded `RawBatch` frames from number `start_seq` on; the last one of a finite feed has `eof`."""

    def take_rejects(self) -> Sequence[Reject]:
        """Return, once, the input before the newest frame that could not become a row of it."""

    def progress(self) -> float | None:
        """Return the share of a finite feed that has been yielded, 0 to 1; None when it has no end."""

    async def close(self) -> None:
        """Release files and sockets."""
