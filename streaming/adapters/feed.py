"""The door to market data. A feed yields frames as bytes and owns the clock that everything downstream is judged by."""

from collections.abc import AsyncIterator
from typing import Protocol


class Feed(Protocol):
    """One source of raw frames. `name` is stable over restarts, because frames are counted by it."""

    name: str
    venue: str

    def frames(self, start_seq: int) -> AsyncIterator[bytes]:
        """Yield encoded `RawBatch` frames from number `start_seq` on; the last one of a finite feed has `eof`."""

    async def close(self) -> None:
        """Release files and sockets."""
