"""The owner-side face of all partitions that this process owns: what the API, strategies and tools may call.

Every answer, reads and repetitions too, waits until the journal record that it saw is durable. A partition that this
process does not own, or has just lost, refuses with an error that means: try again, there or here.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from trading.commands import AnyCommand
from trading.events import AnyEvent
from trading.market.shards import shard_of
from trading.orders.journal import Record
from trading.orders.state import State
from trading.risk.market import MarketView

RETRY_AFTER_S = 1
SUBSCRIPTION_ROWS = 10_000
T = TypeVar("T")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided, and is durable. No events: a repetition, so look at the state."""

    seq: int
    events: tuple[AnyEvent, ...]
    ts_ns: int
    account_seq: int


class DeskError(Exception):
    """A partition that cannot answer now. Whether a command in hand was decided is told by its id later on."""

    code = "DESK_UNAVAILABLE"

    def __init__(self, partition: int, message: str, url: str | None = None) -> None:
        super().__init__(message)
        self.partition = partition
        self.url = url


class NotOwner(DeskError):  # noqa: N818 - a name of the contract
    """Another process owns the partition; `url` is where it answers, if that is known."""

    code = "NOT_OWNER"


class NotReady(DeskError):  # noqa: N818
    """The partition is being taken over, or is stopping."""

    code = "NOT_READY"


class WriteLost(DeskError):  # noqa: N818
    """The journal did not acknowledge the record in time, or refused it: the outcome is not known here."""

    code = "WRITE_LOST"


class SlowReaderError(Exception):
    """A subscriber that fell too far behind. Read the journal from the last offset that was seen."""

    code = "SLOW_READER"


class Durable(NamedTuple):
    """One durable journal record and where it is."""

    partition: int
    offset: int
    record: Record


class Subscription(AsyncIterator[Durable]):
    """Durable records in the order of each partition, from the call of `subscribe` on; bounded, and without a hole.

    Where records may have been written unseen, as when another process takes a partition over, it ends with an error.
    """

    def __init__(self, rows: int, forget: Callable[["Subscription"], None], partition: int | None = None) -> None:
        self._queue: asyncio.Queue[Durable | None] = asyncio.Queue(rows + 1)
        self._rows = rows
        self._forget = forget
        self._partition = partition
        self._error: Exception | None = None
        self._closed = False

    def give(self, row: Durable) -> None:
        """Queue a record; a full queue ends the subscription with `SlowReaderError`."""
        if self._closed or self._partition not in (None, row.partition):
            return
        if self._queue.qsize() >= self._rows:
            self._error = SlowReaderError(f"more than {self._rows} records waited")
            self.close()
            return
        self._queue.put_nowait(row)

    def lose(self, partition: int) -> None:
        """End with `NotReady` if this partition is followed: what is written next may not be heard here."""
        if not self._closed and self._partition in (None, partition):
            self._error = NotReady(partition, f"partition {partition} was lost: read the state again, then follow")
            self.close()

    def close(self) -> None:
        """End the subscription; what is queued can still be read."""
        if not self._closed:
            self._closed = True
            self._forget(self)
            self._queue.put_nowait(None)

    async def __anext__(self) -> Durable:
        row = await self._queue.get()
        if row is not None:
            return row
        self._queue.put_nowait(None)
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration


class Desk(Protocol):
    """The contract. The fake of the tests and the owner of real partitions pass one suite."""

    @property
    def partitions(self) -> int:
        """Return how many partitions there are, owned here or not."""

    @property
    def market(self) -> MarketView:
        """Return the prices and risk parameters of this moment."""

    def now_ns(self) -> int:
        """Return the desk's clock: the wall for live and simulated feeds, event time for a replay."""

    def partition_of(self, account: str) -> int:
        """Return the partition of an account."""

    async def execute(self, command: AnyCommand, cause: str) -> Answer:
        """Decide a command at the desk's clock and return once it is durable; raise `DeskError`.

        `cause` names the request; it goes into the record. The time in the command is replaced by the desk's.
        """

    async def execute_everywhere(self, command: AnyCommand, cause: str) -> list[Answer]:
        """Decide a global control in every partition, wherever it is owned; return once all are durable.

        If one fails the others have it all the same, and `DeskError` is raised.
        """

    async def read(self, account: str, view: Callable[[State], T]) -> T:
        """Return `view` of the state of the account's partition, once all that it saw is durable; raise `DeskError`.

        The view runs at once and must not keep references to rows.
        """

    async def read_partition(self, partition: int, view: Callable[[State], T]) -> T:
        """Return `view` of one partition, as `read` does."""

    def subscribe(self, queue_rows: int = SUBSCRIPTION_ROWS, partition: int | None = None) -> Subscription:
        """Return the durable records of one partition, or of all that this process owns, from now on."""

    def stats(self) -> dict[str, object]:
        """Return plain counters."""


def partition_of(account: str, partitions: int) -> int:
    """Return the partition of an account: Kafka's murmur2 of its id."""
    return shard_of(account, partitions)
