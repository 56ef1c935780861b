"""Snapshot rows that several roles of one process need when it starts: who owns a partition, and its gateway."""

import asyncio
from collections.abc import AsyncIterator

from streaming.owner.snapshots import Newest, newest_of
from streaming.transport.client import BrokerClient
from trading.schemas import ORDERS_STATE

KEPT_S = 30.0


class SharedRows:
    """Reads the rows of a partition up to an offset once, whoever asks for them within half a minute."""

    def __init__(self, kept_s: float = KEPT_S) -> None:
        self._kept_s = kept_s
        self._reads: dict[tuple[int, int], asyncio.Task[Newest]] = {}

    async def read(self, client: BrokerClient, partition: int, end: int) -> Newest:
        """Return the rows of the newest whole snapshot before `end`."""
        place = (partition, end)
        reading = self._reads.get(place)
        if reading is None:
            reading = self._reads[place] = asyncio.create_task(newest_of(_rows(client, partition, end)))
            asyncio.get_running_loop().call_later(self._kept_s, self._forget, place, reading)
        try:
            # Who is cancelled leaves it to the others.
            return await asyncio.shield(reading)
        except Exception:
            self._forget(place, reading)
            raise

    def _forget(self, place: tuple[int, int], reading: asyncio.Task[Newest]) -> None:
        if self._reads.get(place) is reading:
            del self._reads[place]


async def _rows(client: BrokerClient, partition: int, end: int) -> AsyncIterator[tuple[bytes | None, bytes | None]]:
    begin = await client.begin_offset(ORDERS_STATE.name, partition)
    async for message in client.read(ORDERS_STATE.name, partition, begin, end):
        yield message.key, message.value
