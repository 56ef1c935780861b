"""What several roles of one process need when it starts: who owns a partition, and its gateway, have the same state."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from streaming.owner.journal_fold import JournalFold, newest_fold
from streaming.transport.client import BrokerClient

KEPT_S = 30.0


class SharedStart:
    """Restores a partition once for all who ask within half a minute. Each has a state of its own."""

    def __init__(self, takers: int = 1, kept_s: float = KEPT_S) -> None:
        """Expect so many who ask, of whom the last need not copy."""
        self._takers, self._kept_s = takers, kept_s
        self._reads: dict[tuple[int, int], _Reading] = {}

    async def read(self, client: BrokerClient, partition: int, rows_end: int, end: int) -> JournalFold:
        """Return the fold up to about `end`, from the newest whole snapshot before `rows_end`."""
        place = (partition, rows_end)
        while True:
            reading = self._reads.get(place)
            if reading is None:
                reading = self._reads[place] = _Reading(newest_fold(client, partition, rows_end, end), self._takers)
                asyncio.get_running_loop().call_later(self._kept_s, self._forget, place, reading)
            try:
                # Who is cancelled leaves it to the others.
                found = await asyncio.shield(reading.task)
            except Exception:
                self._forget(place, reading)
                raise
            reading.left -= 1
            if reading.left > 0:
                return found.copy()
            self._forget(place, reading)
            if reading.left == 0:
                return found

    def _forget(self, place: tuple[int, int], reading: "_Reading") -> None:
        if self._reads.get(place) is reading:
            del self._reads[place]


class _Reading:
    def __init__(self, work: Coroutine[Any, Any, JournalFold], left: int) -> None:
        self.task, self.left = asyncio.create_task(work), left
