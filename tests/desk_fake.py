"""A desk without a broker: the pure core, a journal in memory, and switches for what may go wrong."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from streaming.owner.apply import apply
from streaming.owner.desk import (
    SUBSCRIPTION_ROWS,
    Answer,
    Durable,
    NotOwner,
    NotReady,
    Subscription,
    WriteLost,
    partition_of,
)
from trading.commands import AnyCommand
from trading.orders.journal import append_fence, read_record
from trading.orders.state import State
from trading.risk.market import MarketView

T = TypeVar("T")


class FakeDesk:
    """Implements `Desk`. `journal[p]` holds the records; `elsewhere`, `unready` and `lose_next` make it refuse."""

    def __init__(self, market: MarketView, *, ts_ns: int, partitions: int = 4) -> None:
        self.market = market
        self.ts_ns = ts_ns
        self.partitions = partitions
        self.states = [State() for _ in range(partitions)]
        self.journal: list[list[bytes]] = [[append_fence(state, "fake", ts_ns)] for state in self.states]
        self.elsewhere: dict[int, str | None] = {}
        self.unready: set[int] = set()
        self.lose_next: set[int] = set()
        self._subscriptions: list[Subscription] = []

    def now_ns(self) -> int:
        """Return the clock that the test sets."""
        return self.ts_ns

    def partition_of(self, account: str) -> int:
        """Return the partition of an account."""
        return partition_of(account, self.partitions)

    async def execute(self, command: AnyCommand, cause: str) -> Answer:
        """Decide and keep."""
        return await self._execute(self.partition_of(command.account), command, cause)

    async def execute_everywhere(self, command: AnyCommand, cause: str) -> list[Answer]:
        """Decide in every partition, those that are owned elsewhere too; then refuse if one cannot answer."""
        ready = [partition for partition in range(self.partitions) if partition not in self.unready]
        answers = [await self._apply(partition, command, cause) for partition in ready]
        for partition in self.unready:
            self._check(partition)
        return answers

    async def read(self, account: str, view: Callable[[State], T]) -> T:
        """Return a view of the state."""
        return await self.read_partition(self.partition_of(account), view)

    async def read_partition(self, partition: int, view: Callable[[State], T]) -> T:
        """Return a view of one partition."""
        self._check(partition)
        seen = view(self.states[partition])
        await asyncio.sleep(0)
        return seen

    def subscribe(self, queue_rows: int = SUBSCRIPTION_ROWS, partition: int | None = None) -> Subscription:
        """Return the records from now on."""
        subscription = Subscription(queue_rows, self._subscriptions.remove, partition)
        self._subscriptions.append(subscription)
        return subscription

    def stats(self) -> dict[str, object]:
        """Return counters."""
        return {"records": sum(map(len, self.journal))}

    def _check(self, partition: int) -> None:
        if partition in self.elsewhere:
            raise NotOwner(partition, f"partition {partition} is owned elsewhere", self.elsewhere[partition])
        if partition in self.unready:
            raise NotReady(partition, f"partition {partition} is being taken over")

    async def _execute(self, partition: int, command: AnyCommand, cause: str) -> Answer:
        self._check(partition)
        return await self._apply(partition, command, cause)

    async def _apply(self, partition: int, command: AnyCommand, cause: str) -> Answer:
        applied = apply(self.states[partition], command, cause, self.ts_ns, self.market)
        for _, payload in applied.records:
            offset = len(self.journal[partition])
            self.journal[partition].append(payload)
            for subscription in list(self._subscriptions):
                subscription.give(Durable(partition, offset, read_record(payload)))
        await asyncio.sleep(0)
        if partition in self.lose_next:
            self.lose_next.remove(partition)
            raise WriteLost(partition, f"partition {partition}: the journal did not acknowledge in time")
        return applied.answer
