"""The real desk: the partitions that the group gave to this process, and what they share."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import Any, TypeVar

from streaming.flow import FlowContext
from streaming.owner import elsewhere
from streaming.owner.clock import Clock, clock_of
from streaming.owner.desk import (
    SUBSCRIPTION_ROWS,
    Answer,
    Durable,
    NotOwner,
    NotReady,
    Subscription,
    partition_of,
)
from streaming.owner.history import packaged_model
from streaming.owner.owners import Owner, Owners
from streaming.owner.partition import Partition, Surroundings
from streaming.owner.prices import MarketBook, keep_reading
from streaming.owner.shared_start import SharedStart
from streaming.transport.fenced import FencedWriter, fenced_writer
from streaming.transport.follow import Follower, follow
from trading.commands import AnyCommand
from trading.orders.journal import read_record
from trading.orders.state import State
from trading.risk.market import MarketView
from trading.schemas import ORDERS_JOURNAL, ORDERS_STATE, OWNERS, PRICES

# The broker forgets an idle producer id after a day: the fence is put anew long before.
RENEW_S = 3_600.0
# How long who stops answers for its partitions while nobody has taken them over.
HAND_OVER_S = 3.0
T = TypeVar("T")


class House:
    """Implements `Desk` and the service of the role `orders`. `start` comes before the first partition."""

    def __init__(self, *, clock: Clock | None = None, start: SharedStart | None = None) -> None:
        """Take the clock of the feed, or the one that is given; `start` is shared with others of this process."""
        self._clock, self._shared = clock, start
        self._around: Surroundings | None = None
        self._owners: Owners | None = None
        self._partitions = 0
        self._broker = self._url = ""
        self._owned: dict[int, Partition] = {}
        self._hands_over: bool | None = None
        self._given_up = asyncio.Event()
        self._subscriptions: list[Subscription] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        self._followers: list[Follower] = []

    @property
    def partitions(self) -> int:
        """Return how many partitions there are."""
        return self._partitions

    @property
    def market(self) -> MarketView:
        """Return the market of this moment."""
        return self._started.book.view

    @property
    def clock(self) -> Clock:
        """Return the desk's clock."""
        return self._started.clock

    async def start(self, context: FlowContext) -> None:
        """Begin to read prices and owners; partitions come with the assignment."""
        settings, client = context.settings, context.client
        url = settings.broker_url
        clock = self._clock or clock_of(settings.feed)
        instruments = settings.instrument_table()
        book = MarketBook(instruments, packaged_model(instruments), clock)
        book.turn(clock.now_ns())
        self._partitions, self._broker = settings.orders.partitions, url
        self._url = settings.orders.url or f"http://{settings.http.host}:{settings.http.port}"
        self._owners = Owners(client, self._heard)
        prices = follow(url, client, PRICES.name, settings.market.shards)
        owners = follow(url, client, OWNERS.name, 1)
        topics = (ORDERS_JOURNAL.name, ORDERS_STATE.name)

        def writer(number: int) -> FencedWriter:
            return fenced_writer(url, client, "trade-orders", topics, number, settings.orders.produce_timeout_s)

        self._around = Surroundings(
            client=client,
            fenced=writer,
            settings=settings.orders,
            clock=clock,
            book=book,
            name=f"{socket.gethostname()}-{os.getpid()}",
            written=self._written,
            owned=self._announce,
            lost=self._lost,
            observe=context.observe,
            renew_s=None if url.startswith("log:") else RENEW_S,
            start=self._shared,
        )
        self._followers = [prices, owners]
        _spawn(self._tasks, keep_reading(book, prices, clock), "prices")
        _spawn(self._tasks, self._owners.keep_reading(owners), "owners")

    async def stop(self) -> None:
        """Let go of every partition that was not closed, and of the readers."""
        if self._hands_over:
            await self._until_taken_over()
        for owned in list(self._owned.values()):
            self.give_up(owned)
        await asyncio.gather(*self._leaving)
        for subscription in list(self._subscriptions):
            subscription.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for follower in self._followers:
            await follower.stop()

    async def own(self, number: int) -> Partition:
        """Begin to take over a partition that was assigned to this process, or go on with one that was set aside."""
        before = self._owned.get(number)
        if before is not None:
            if await before.take_back():
                return before
            self.give_up(before)
        made = self._owned[number] = Partition(number, self._started)
        made.start()
        return made

    def set_aside(self, partition: Partition) -> None:
        """Go on with a partition that the group took away, until it comes back or another owner has it."""
        if self._owned.get(partition.number) is not partition or not partition.ready:
            self.give_up(partition)
        else:
            partition.aside = True

    async def close(self, partition: Partition) -> None:
        """Leave a snapshot of a partition; answer for it until a successor does, if there is one."""
        if self._hands_over is None:
            # The group gives each process something: who has everything is alone, as on the embedded log.
            self._hands_over = not self._broker.startswith("log:") and len(self._owned) < self._partitions
            if self._hands_over:
                _spawn(self._tasks, self._known.leave(self._url), "leave")
        if self._hands_over:
            await partition.save()
            self.set_aside(partition)
        else:
            await partition.close()
            self.give_up(partition)

    def give_up(self, partition: Partition) -> None:
        """Let go of a partition that is closed or was taken away; it may have come back since, as another object."""
        partition.revoke()
        if self._owned.get(partition.number) is partition:
            del self._owned[partition.number]
        self._given_up.set()
        _spawn(self._leaving, partition.leave(), f"leave-{partition.number}")

    def now_ns(self) -> int:
        """Return the desk's time."""
        return self._started.clock.now_ns()

    def partition_of(self, account: str) -> int:
        """Return the partition of an account."""
        return partition_of(account, self._partitions)

    async def execute(self, command: AnyCommand, cause: str) -> Answer:
        """Decide a command of one account."""
        return await self._owner(self.partition_of(command.account)).execute(command, cause)

    async def execute_everywhere(self, command: AnyCommand, cause: str) -> list[Answer]:
        """Decide a control in every partition, here at once, elsewhere by the topic; one that fails stops no other."""
        work = [self._control(number, command, cause) for number in range(self._partitions)]
        answers = await asyncio.gather(*work, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    async def read(self, account: str, view: Callable[[State], T]) -> T:
        """Return a view of the partition of an account."""
        return await self._owner(self.partition_of(account)).read(view)

    async def read_partition(self, partition: int, view: Callable[[State], T]) -> T:
        """Return a view of one partition."""
        return await self._owner(partition).read(view)

    def subscribe(self, queue_rows: int = SUBSCRIPTION_ROWS, partition: int | None = None) -> Subscription:
        """Return durable records from now on."""
        subscription = Subscription(queue_rows, self._subscriptions.remove, partition)
        self._subscriptions.append(subscription)
        return subscription

    def stats(self) -> dict[str, object]:
        """Return what the partitions count, by number, and the market."""
        book = self._started.book
        pages: dict[str, Any] = {str(number): owned.stats() for number, owned in sorted(self._owned.items())}
        return {
            "partitions": pages,
            "prices": book.prices,
            "prices_refused": book.refused,
            "subscriptions": len(self._subscriptions),
            "ready": len(self._owned) > 0 and all(owned.ready for owned in self._owned.values()),
        }

    @property
    def _started(self) -> Surroundings:
        assert self._around is not None, "the desk is started before it is used"
        return self._around

    @property
    def _known(self) -> Owners:
        assert self._owners is not None, "the desk is started before it is used"
        return self._owners

    def _owner(self, number: int) -> Partition:
        owned = self._owned.get(number)
        if owned is not None:
            return owned
        url = None if self._owners is None else self._owners.url_of(number)
        raise NotOwner(number, f"partition {number} is not owned by this process", None if url == self._url else url)

    async def _control(self, number: int, command: AnyCommand, cause: str) -> Answer:
        try:
            return await self._owner(number).execute(command, cause)
        except (NotOwner, NotReady):
            return await elsewhere.send(self._started.client, number, command)

    def _written(self, number: int, first: int, payloads: list[bytes]) -> None:
        if not self._subscriptions:
            return
        rows = [Durable(number, first + place, read_record(payload)) for place, payload in enumerate(payloads)]
        for subscription in list(self._subscriptions):
            for row in rows:
                subscription.give(row)

    def _lost(self, number: int) -> None:
        for subscription in list(self._subscriptions):
            subscription.lose(number)
        owned = self._owned.get(number)
        if owned is not None and owned.aside:
            # Not within the loss itself.
            asyncio.get_running_loop().call_soon(self.give_up, owned)

    def _heard(self, owner: Owner) -> None:
        owned = self._owned.get(owner.partition)
        if owned is not None and owned.aside and owner.url != self._url:
            self.give_up(owned)
        self._given_up.set()

    async def _until_taken_over(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HAND_OVER_S):
                while self._known.has_heir(self._url) and any(owned.aside for owned in self._owned.values()):
                    self._given_up.clear()
                    await self._given_up.wait()

    def _announce(self, number: int, generation: int) -> None:
        owner = Owner(partition=number, generation=generation, url=self._url)
        _spawn(self._tasks, self._known.announce(owner), "announce")


def _spawn(tasks: set[asyncio.Task[None]], work: Any, name: str) -> None:
    task: asyncio.Task[None] = asyncio.create_task(work, name=name)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
