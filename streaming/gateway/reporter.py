"""The way back to the owners: reports and controls of the gateway, appended to `orders.commands` in their order."""

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import Sequence
from functools import partial
from typing import Any

from streaming.owner.desk import partition_of
from streaming.retries import Retries
from streaming.transport.client import BrokerClient
from trading.commands import AnyCommand, encode_command
from trading.schemas import ORDERS_COMMANDS

MAX_WAITING = 10_000
GROUP_COMMANDS = 1_000


class Reporter:
    """Appends to the partition of each account; what waits while an append is under way goes out together."""

    def __init__(self, client: BrokerClient, partitions: int) -> None:
        self._client, self._partitions = client, partitions
        self._waiting: deque[AnyCommand] = deque()
        self._under_way = 0
        self._changed = asyncio.Condition()
        self._retries = Retries("reports")
        self._task: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        # Of all that was queued and written so far; both go in one order.
        self.taken = 0
        self.written = 0

    def start(self) -> None:
        """Begin to append."""
        self._task = asyncio.create_task(self._run(), name="reports")

    async def put(self, commands: Sequence[AnyCommand]) -> None:
        """Queue commands; wait while too many are queued. Raises what stopped the appends."""
        if not commands:
            return
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._waiting) < MAX_WAITING or self._error is not None)
            self._check()
            self._waiting.extend(commands)
            self.taken += len(commands)
            self._changed.notify_all()

    async def flush(self) -> None:
        """Return once all that was queued is acknowledged. Raises what stopped the appends."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: not (self._waiting or self._under_way) or self._error is not None,
            )
            self._check()

    async def stop(self) -> None:
        """End; what is not acknowledged will be said again by the next gateway."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def stats(self) -> dict[str, Any]:
        """Return how many commands were written and wait, and the retries."""
        return {"written": self.written, "queued": len(self._waiting) + self._under_way, **self._retries.stats()}

    def check(self) -> None:
        """Raise what stopped the appends."""
        self._check()

    async def _run(self) -> None:
        try:
            while True:
                async with self._changed:
                    await self._changed.wait_for(lambda: bool(self._waiting))
                    group = [self._waiting.popleft() for _ in range(min(len(self._waiting), GROUP_COMMANDS))]
                    self._under_way = len(group)
                    self._changed.notify_all()
                await self._append(group)
                async with self._changed:
                    self.written += len(group)
                    self._under_way = 0
                    self._changed.notify_all()
        except Exception as error:  # noqa: BLE001 - whoever puts or flushes next must hear of it
            async with self._changed:
                self._error = error
                self._changed.notify_all()

    async def _append(self, group: Sequence[AnyCommand]) -> None:
        messages: defaultdict[int, list[tuple[bytes | None, bytes | None]]] = defaultdict(list)
        for command in group:
            number = partition_of(command.account, self._partitions)
            messages[number].append((command.account.encode(), encode_command(command)))
        await asyncio.gather(
            *(
                self._retries.run(partial(self._client.append, ORDERS_COMMANDS.name, number, part))
                for number, part in messages.items()
            )
        )

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
