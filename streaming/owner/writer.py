"""The one writer task of a partition: what is queued is written as a group, and whoever waits for it is let go after.

A refused or failed write, or one that landed elsewhere than expected, ends the writer for good: everybody who waits
gets `WriteLost`, and the partition must be taken over again.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import structlog

from streaming.owner.desk import WriteLost
from streaming.transport.client import BrokerError

GROUP_RECORDS = 2_000
GROUP_BYTES = 1 << 20
MAX_QUEUED = 50_000
Pairs = Sequence[tuple[bytes | None, bytes | None]]
Lost = Callable[[BaseException], None]
Written = Callable[[int, list[bytes]], None]
# What takes the partition over once more, and what follows it at once.
Renewal = tuple[Callable[[], Awaitable[int]], Callable[[], None]]
_log = structlog.get_logger("writer")


class GroupWriter:
    """Record `seq` goes to offset `seq + base`: one record each, and nobody else writes."""

    def __init__(
        self,
        partition: int,
        append: Callable[[Pairs], Awaitable[int]],
        *,
        seq: int,
        offset: int,
        written: Written,
        lost: Lost,
    ) -> None:
        """Go on after record `seq`, which is durable at `offset`. `written(first offset, payloads)` sees each group."""
        self.durable_seq = seq
        self.base = offset - seq
        self.groups = 0
        self.failure: BaseException | None = None
        self._partition = partition
        self._append = append
        self._written, self._lost = written, lost
        self._queue: deque[tuple[bytes, bytes]] = deque()
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._renewal: Renewal | None = None
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"journal-{partition}")

    @property
    def full(self) -> bool:
        """Say whether no more should be decided before something is written."""
        return len(self._queue) >= MAX_QUEUED

    @property
    def renewing(self) -> bool:
        """Say whether a renewal was asked for and is not through."""
        return self._renewal is not None

    def put(self, account: str, payload: bytes) -> None:
        """Queue the record of the next seq."""
        self._queue.append((account.encode(), payload))
        self._wake.set()

    def renew(self, take_over: Callable[[], Awaitable[int]], fence: Callable[[], None]) -> None:
        """Between two groups take over once more, then call `fence`, which puts the fence record."""
        self._renewal = (take_over, fence)
        self._wake.set()

    async def durable(self, seq: int) -> None:
        """Return once record `seq` is durable; raise `WriteLost`."""
        if self.failure is not None:
            raise self._loss()
        if seq > self.durable_seq:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append((seq, waiter))
            await waiter

    def fail(self, error: BaseException) -> None:
        """End: nothing more is written, and all who wait get `WriteLost`."""
        if self.failure is not None:
            return
        self.failure = error
        self._task.cancel()
        self._queue.clear()
        waiters, self._waiters = self._waiters, deque()
        for _, waiter in waiters:
            if not waiter.done():
                waiter.set_exception(self._loss())
                # Its task may be cancelled already, as that of a request whose client has gone.
                waiter.exception()

    async def _run(self) -> None:
        try:
            while True:
                if self._renewal is not None:
                    await self._renew(*self._renewal)
                elif self._queue:
                    await self._write(self._group())
                else:
                    self._wake.clear()
                    await self._wake.wait()
        except BrokerError as error:
            _log.error("journal_write_lost", partition=self._partition, code=error.code, reason=str(error))
            self._lost(error)

    async def _write(self, group: list[tuple[bytes, bytes]]) -> None:
        expected = self.durable_seq + 1 + self.base
        first = await self._append(group)
        if first != expected:
            raise BrokerError("OFFSET_MOVED", f"written at {first}, expected {expected}: there is another writer")
        self.durable_seq += len(group)
        self.groups += 1
        self._release()
        self._written(first, [payload for _, payload in group])

    async def _renew(self, take_over: Callable[[], Awaitable[int]], fence: Callable[[], None]) -> None:
        expected = self.durable_seq + 1 + self.base
        offset = await take_over()
        # The broker may need one barrier; more means that somebody else has written.
        if not 0 <= offset - expected <= 1:
            raise BrokerError("OFFSET_MOVED", f"taken over at {offset}, expected {expected}: there is another writer")
        self.base += offset - expected
        fence()
        self._renewal = None

    def _group(self) -> list[tuple[bytes, bytes]]:
        group: list[tuple[bytes, bytes]] = []
        size = 0
        while self._queue and len(group) < GROUP_RECORDS and size < GROUP_BYTES:
            pair = self._queue.popleft()
            size += len(pair[1])
            group.append(pair)
        return group

    def _release(self) -> None:
        waiters, durable = self._waiters, self.durable_seq
        while waiters and waiters[0][0] <= durable:
            waiter = waiters.popleft()[1]
            if not waiter.done():
                waiter.set_result(None)

    def _loss(self) -> WriteLost:
        return WriteLost(self._partition, f"partition {self._partition}: the journal did not take it: {self.failure}")
