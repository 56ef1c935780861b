"""The order path in memory: a broker, the pure core as owner, and the real gateway with the paper venue."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from streaming.adapters.venue_faults import Fault, FaultScript
from streaming.adapters.venue_paper import PaperAdapter
from streaming.flow import FlowContext
from streaming.flows.route import Gatehouse, RouteLane
from streaming.gateway.reconciler import RECONCILE_S
from streaming.owner.apply import apply
from streaming.owner.clock import Clock
from streaming.owner.desk import partition_of
from streaming.settings import FeedSettings, OrderSettings, RouteSettings, Settings
from streaming.transport.follow import LogFollower
from tests.streaming.memory_broker import MemoryBroker
from tests.streaming.poll import until
from tests.trading.orders.builders import T0, TABLE, XYZ, limits_body, market
from trading.commands import AnyCommand, Deposit, OpenAccount, SetLimits, decode_command, encode_command
from trading.market.batches import ABSENT, QUOTE, TRADE, TickBatch
from trading.messages import Source
from trading.orders.journal import append_fence, fold, read_record
from trading.orders.state import OrderRow, State
from trading.routing.models import Models
from trading.routing.paper import PaperVenue
from trading.schemas import ORDERS_COMMANDS, ORDERS_JOURNAL, TICKS


def tick(kind: int, price: int, qty: int, ts_ns: int = T0, *, flags: int = 0) -> TickBatch:
    """Return one trade of XYZ, or one quote with this bid and an ask two ticks above."""
    quote = kind == QUOTE

    def one(value: int, *, of_quote: bool) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([value if quote == of_quote else ABSENT], np.int64)

    return TickBatch(
        kind=np.array([kind], np.uint8),
        instrument=([XYZ.id], np.zeros(1, np.int16)),
        session=np.zeros(1, np.int32),
        ts_ns=np.array([ts_ns], np.int64),
        trade_id=one(1, of_quote=False),
        price=one(price, of_quote=False),
        qty=one(qty, of_quote=False),
        bid=one(price, of_quote=True),
        bid_qty=one(qty, of_quote=True),
        ask=one(price + 2, of_quote=True),
        ask_qty=one(qty, of_quote=True),
        exchange=([""], np.zeros(1, np.int16)),
        condition=([""], np.zeros(1, np.int16)),
        flags=np.array([flags], np.uint16),
        src_row=np.zeros(1, np.int32),
        src=Source(0, 0),
        feed="sim",
        clock_ns=ts_ns,
        recv_ns=ts_ns,
    )


class Owner:
    """Plays the role `orders` for all partitions: decides commands, appends records, commits offsets."""

    def __init__(self, broker: MemoryBroker, accounts: Sequence[str], partitions: int) -> None:
        self.broker, self.partitions, self.accounts = broker, partitions, accounts
        self.states = [State() for _ in range(partitions)]
        self.worked = [0] * partitions

    async def fence(self) -> None:
        """Open an ownership of each partition, and the accounts that are not open yet."""
        for number, state in enumerate(self.states):
            payload = append_fence(state, "ring", T0)
            state.generation = await self.broker.append(ORDERS_JOURNAL.name, number, [(None, payload)])
        for account in self.accounts:
            number = partition_of(account, self.partitions)
            if account not in self.states[number].accounts:
                for command in opening(account):
                    await self._apply(number, command, "ring:open", keep_cause=False)

    async def _apply(self, number: int, command: AnyCommand, cause: str, *, keep_cause: bool) -> None:
        now_ns = max(T0, command.ts_ns)
        applied = apply(self.states[number], command, cause, now_ns, market(now_ns), keep_cause=keep_cause)
        for account, payload in applied.records:
            await self.broker.append(ORDERS_JOURNAL.name, number, [(account.encode(), payload)])

    async def decide(self) -> int:
        """Work what is in `orders.commands`; return how many commands."""
        count = 0
        for number in range(self.partitions):
            records = self.broker.records[ORDERS_COMMANDS.name, number][self.worked[number] :]
            for record in records:
                command = decode_command(record.value or b"")
                cause = f"{ORDERS_COMMANDS.name}:{number}:{record.offset}"
                await self._apply(number, command, cause, keep_cause=True)
            self.worked[number] += len(records)
            self.broker.offsets["orders", ORDERS_COMMANDS.name, number] = self.worked[number]
            count += len(records)
        return count


def opening(account: str) -> list[AnyCommand]:
    """Return what makes an account ready to trade."""
    return [
        OpenAccount(account=account, ts_ns=T0, actor="admin"),
        Deposit(account=account, ts_ns=T0, actor="admin", ref="first", amount="1000000"),
        SetLimits(account=account, ts_ns=T0, actor="admin", limits=limits_body()),
    ]


class Ring:
    """All of it. `settle` turns the wheel until nothing moves."""

    def __init__(
        self,
        home: Path,
        *,
        accounts: Sequence[str] = ("a",),
        partitions: int = 1,
        models: Models | None = None,
        route: RouteSettings | None = None,
        reconcile_s: float = RECONCILE_S,
    ) -> None:
        self.broker = MemoryBroker()
        self.faults = FaultScript()
        self.owner = Owner(self.broker, accounts, partitions)
        self.models, self.reconcile_s = models, reconcile_s
        settings = Settings(
            home=home,
            feed=FeedSettings(rate=0),
            orders=OrderSettings(partitions=partitions),
            route=route or RouteSettings(),
            instruments=tuple(msgspec.to_builtins(instrument) for instrument in TABLE),
        )
        self.context = FlowContext(settings, home, self.broker)
        self.venue: PaperAdapter | None = None
        self.house = Gatehouse(self._make, self.reconcile_s)
        self.lanes: list[RouteLane] = []
        self._read = [0] * partitions

    @property
    def state(self) -> State:
        """Return the state of the first partition."""
        return self.owner.states[0]

    @property
    def paper(self) -> PaperAdapter:
        """Return the venue of this life."""
        assert self.venue is not None
        return self.venue

    async def start(self) -> None:
        """Begin, or begin a new life of the gateway."""
        if not self.broker.records[ORDERS_JOURNAL.name, 0]:
            await self.owner.fence()
        self.house = Gatehouse(self._make, self.reconcile_s)
        await self.house.start(self.context)
        self.lanes = [RouteLane(self.house, self.context, number) for number in range(self.owner.partitions)]
        for number, lane in enumerate(self.lanes):
            self._read[number] = await lane.open() or 0

    async def kill(self) -> None:
        """End this life without writing what waits."""
        venue, _, reporter = self.house.parts
        await reporter.stop()
        await venue.stop()

    async def stop(self) -> None:
        """End cleanly."""
        for lane in self.lanes:
            await lane.close()
        await self.house.stop()

    async def say(self, *commands: AnyCommand) -> None:
        """Produce commands and settle."""
        for command in commands:
            number = partition_of(command.account, self.owner.partitions)
            await self.broker.append(
                ORDERS_COMMANDS.name, number, [(command.account.encode(), encode_command(command))]
            )
        await self.settle()

    async def settle(self) -> None:
        """Let owner and gateway work until neither has anything to do."""
        moved = True
        while moved:
            moved = await self.owner.decide() > 0
            for number, lane in enumerate(self.lanes):
                records = self.broker.records[ORDERS_JOURNAL.name, number][self._read[number] :]
                if records:
                    self._read[number] = await lane.process(records) or 0
                    moved = True
                await lane.tick()
            await self.house.parts[2].flush()
            waiting = (
                len(self.broker.records[ORDERS_COMMANDS.name, number]) > worked
                for number, worked in enumerate(self.owner.worked)
            )
            moved = moved or any(waiting)

    async def send_tick(self, batch: TickBatch) -> None:
        """Publish a tick, wait until the venue has it, and settle."""
        before = self.paper.stats()["ticks"]
        await self.broker.append(TICKS.name, 0, [(None, batch.encode())])
        await until(lambda: self.paper.stats()["ticks"] > before)
        await self.settle()

    async def quote(self, bid: int, size: int = 1_000, ts_ns: int = T0) -> None:
        """Publish a quote."""
        await self.send_tick(tick(QUOTE, bid, size, ts_ns))

    async def trade(self, price: int, size: int, ts_ns: int = T0, *, flags: int = 0) -> None:
        """Publish a trade."""
        await self.send_tick(tick(TRADE, price, size, ts_ns, flags=flags))

    def fault(self, *faults: Fault) -> None:
        """Add to the fault script."""
        self.faults.faults += faults

    def row(self, order: str) -> OrderRow:
        """Return an order of the owner."""
        return next(state.orders[order] for state in self.owner.states if order in state.orders)

    def status(self, order: str) -> tuple[str, int]:
        """Return status and filled quantity."""
        return self.row(order).status, self.row(order).filled

    def refold(self) -> State:
        """Return the state of the first partition from its journal alone."""
        state = State()
        for offset, message in enumerate(self.broker.records[ORDERS_JOURNAL.name, 0]):
            fold(state, read_record(message.value or b""), offset=offset)
        return state

    async def _make(self, _: FlowContext, clock: Clock) -> PaperAdapter:
        start = await self.broker.end_offset(TICKS.name, 0)
        follower = LogFollower(self.broker, TICKS.name, {0: start})
        self.venue = PaperAdapter(PaperVenue(TABLE, self.models), clock, follower, self.faults)
        return self.venue
