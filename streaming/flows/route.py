"""Role `route`: reads the journal, checks the controls once more, asks the venue, and reports to `orders.commands`.

Nothing is kept here: a start takes the owner's snapshot and the journal after it. A partition begins to ask only when
the owner has worked every report of an earlier life, so that nothing is asked or filled on an old state. From then on
it compares its open orders with those at the venue each minute, and reports what mends a difference.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from heapq import heappop, heappush
from typing import Any

import structlog

from streaming.adapters.venue import Venue
from streaming.adapters.venue_paper import PaperAdapter
from streaming.flow import Flow, FlowContext
from streaming.gateway.barrier import Barrier
from streaming.gateway.open_orders import OpenOrders
from streaming.gateway.reconciler import RECONCILE_S, Reconciler
from streaming.gateway.reporter import Reporter
from streaming.gateway.restore import story_of
from streaming.owner.clock import Clock, clock_of
from streaming.owner.journal_fold import JournalReader
from streaming.owner.recovery import recover
from streaming.owner.shared_start import SharedStart
from streaming.settings import RouteSettings
from streaming.transport.client import Record
from streaming.transport.follow import follow
from trading.amounts import CASH_SCALE
from trading.codec import CodecError
from trading.commands import CancelAll
from trading.routing.models import FixedLatency, Models, Participation, PpmFee, TickSlippage
from trading.routing.modes import Caps, Gateway
from trading.routing.paper import PaperVenue
from trading.routing.plan import RETRIES, Denied, Rejected, Unknown, VenueRequest, report_of
from trading.schemas import ORDERS_COMMANDS, ORDERS_JOURNAL, TICKS

MakeVenue = Callable[[FlowContext, Clock], Awaitable[Venue]]
ROLE = "route"
# What an order may wait for others on its way to the venue.
FETCH_GAP_S = 0.01
SENDS = frozenset({"new", "replace"})
_log = structlog.get_logger("route")


async def paper_venue(context: FlowContext, clock: Clock) -> Venue:
    """Return the paper venue on the ticks from now on."""
    settings, client = context.settings, context.client
    paper = settings.route.paper
    models = Models(
        Participation(paper.participation_bps),
        FixedLatency(paper.latency_ms * 10**6),
        TickSlippage(paper.slippage_ticks),
        PpmFee(paper.maker_ppm, paper.taker_ppm),
    )
    starts = {number: await client.end_offset(TICKS.name, number) for number in range(settings.market.shards)}
    ticks = follow(settings.broker_url, client, TICKS.name, settings.market.shards, starts)
    return PaperAdapter(PaperVenue(settings.instrument_table(), models), clock, ticks)


class Gatehouse:
    """What the partitions of this process share: the venue, the clock and the way back. The service of the flow."""

    def __init__(
        self, make_venue: MakeVenue = paper_venue, reconcile_s: float = RECONCILE_S, start: SharedStart | None = None
    ) -> None:
        """Take how the venue is made, and what the owner shares of its start."""
        self._make_venue, self.reconcile_s, self.shared = make_venue, reconcile_s, start
        self._parts: tuple[Venue, Clock, Reporter] | None = None

    async def start(self, context: FlowContext) -> None:
        """Connect to the venue and begin to report."""
        clock = clock_of(context.settings.feed)
        reporter = Reporter(context.client, context.settings.orders.partitions)
        venue = await self._make_venue(context, clock)
        self._parts = (venue, clock, reporter)
        reporter.start()
        await venue.start(reporter.put)

    async def stop(self) -> None:
        """Disconnect, and write what was reported."""
        if self._parts is not None:
            venue, _, reporter = self._parts
            self._parts = None
            await venue.stop()
            await reporter.flush()
            await reporter.stop()

    @property
    def parts(self) -> tuple[Venue, Clock, Reporter]:
        """Return venue, clock and reporter."""
        assert self._parts is not None, "the gateway is started before it is used"
        return self._parts


class RouteLane:
    """The orders of one partition at the venue."""

    def __init__(self, house: Gatehouse, context: FlowContext, partition: int) -> None:
        self._client, self._number = context.client, partition
        self._venue, self._clock, self._reporter = house.parts
        self._gateway = Gateway(caps_of(context.settings.route))
        self._open = OpenOrders()
        self._reader = JournalReader()
        self._reconcile_s, self._shared = house.reconcile_s, house.shared
        self._reconciler: Reconciler | None = None
        self._position = 0
        self._before: Barrier | None = None
        self._joined = False
        self._again: list[tuple[float, int, VenueRequest, int]] = []
        self._count = 0
        self._drops = self._venue.drops
        self._counts = dict.fromkeys(("sent", "denied", "unknown", "refused", "cancel_alls"), 0)
        self._denials: dict[str, int] = {}

    async def open(self) -> int | None:
        """Take the open orders from the owner's newest snapshot and the journal after it."""
        end = await self._client.end_offset(ORDERS_JOURNAL.name, self._number)
        commands_end = await self._client.end_offset(ORDERS_COMMANDS.name, self._number)
        self._before = Barrier(self._client, self._number, commands_end)
        found = await recover(self._client, self._number, end, self._shared)
        for event in story_of(found.state):
            self._open.apply(event)
        self._gateway.controls = found.state.controls
        self._reader.generation = found.state.generation
        self._clock.advance(found.last_ts_ns)
        self._reconciler = Reconciler(self._client, self._number, found.state, self._reconcile_s)
        self._position = found.position
        await self._join_when_due()
        return self._position

    async def process(self, records: Sequence[Record]) -> int | None:
        """Follow records; ask what they call for."""
        for message in records:
            await self._take(message)
        self._position = records[-1].offset + 1
        return self._position

    async def tick(self) -> int | None:
        """Begin when it is time, ask again what had no answer, and cancel all after a lost connection."""
        self._reporter.check()
        await self._join_when_due()
        while self._again and self._again[0][0] <= time.monotonic():
            _, _, request, attempt = heappop(self._again)
            if self._open.outbox.asked.get(request.order) == request:
                await self._send(request, attempt)
        if self._joined and self._venue.drops > self._drops:
            self._drops = self._venue.drops
            await self._cancel_all()
        if self._joined and self._reconciler is not None:
            now_ns = self._clock.now_ns()
            fixes = await self._reconciler.go_on(self._venue, self._reporter, self._position, now_ns)
            await self._reporter.put(fixes)
        return self._position

    async def close(self) -> int | None:
        """Write what was reported; the orders stay in the journal."""
        self._venue.forget(self._open.orders())
        await self._reporter.flush()
        return self._position

    def revoked(self) -> None:
        """Let another process go on with the orders."""
        self._joined = False
        self._venue.forget(self._open.orders())

    def stats(self) -> Mapping[str, Any]:
        """Return the counters; `joined` says whether the partition asks the venue."""
        return {
            **self._counts,
            "denials": self._denials,
            "skipped": self._reader.skipped,
            "open": len(self._open.outbox.orders),
            "asked": len(self._open.outbox.asked),
            "in_doubt": sum(request.verb == "query" for request in self._open.outbox.asked.values()),
            "joined": self._joined,
            "reconciled": {} if self._reconciler is None else self._reconciler.stats(),
            "venue": dict(self._venue.stats()),
            **self._reporter.stats(),
        }

    async def _take(self, message: Record) -> None:
        try:
            record = self._reader.take(message)
        except CodecError as error:
            # The owner stops at such a record, and the journal's sink writes the dead letter.
            self._counts["refused"] += 1
            _log.error("record_refused", partition=self._number, offset=message.offset, code=error.code)
            return
        if record is None:
            return
        self._clock.advance(record.ts_ns)
        if self._reconciler is not None:
            self._reconciler.follow(record, message.offset)
        for event in record.events:
            self._gateway.apply(event)
            request = self._open.apply(event)
            if not self._joined:
                continue
            if request is None:
                self._venue.hear(event)
            else:
                if request.verb == "query":
                    self._venue.hear(event)
                await self._ask(request)

    async def _join_when_due(self) -> None:
        """Begin to ask once the owner has worked all reports of an earlier life, and that is read here."""
        if self._joined or self._before is None or not await self._before.passed(self._position):
            return
        self._joined = True
        outbox = self._open.outbox
        refused = {}
        for request in outbox.asked.values():
            if request.verb in SENDS and (code := self._refusal(request)):
                refused[request.order] = (request, code)
        self._venue.adopt(self._open.tell(frozenset(refused)))
        for request, code in refused.values():
            await self._deny(request, code)
        for request in outbox.pending():
            if request.order not in refused:
                outbox.asked[request.order] = request
                await self._send(request, 0)

    def _refusal(self, request: VenueRequest) -> str:
        code = self._gateway.deny(request, self._clock.now_ns())
        return code or ("VENUE_DISCONNECTED" if request.verb in SENDS and not self._venue.connected else "")

    async def _ask(self, request: VenueRequest) -> None:
        code = self._refusal(request)
        if code:
            await self._deny(request, code)
        else:
            await self._send(request, 0)

    async def _deny(self, request: VenueRequest, code: str) -> None:
        self._counts["denied"] += 1
        self._denials[code] = self._denials.get(code, 0) + 1
        await self._reporter.put([report_of(request, Denied(code), self._clock.now_ns())])

    async def _send(self, request: VenueRequest, attempt: int) -> None:
        self._counts["sent"] += 1
        outcome = await self._venue.send(request, self._clock.now_ns())
        if outcome is None:
            return
        if attempt and request.verb == "cancel" and isinstance(outcome, Rejected):
            # The first one, whose answer was lost, may have worked: ask for the order, not for the cancel.
            outcome, attempt = Unknown("CANCEL_UNCLEAR"), RETRIES["cancel"].attempts
        if isinstance(outcome, Unknown):
            self._counts["unknown"] += 1
            delay_ms = RETRIES[request.verb].delay_ms(attempt + 1)
            if delay_ms is not None:
                self._count += 1
                heappush(self._again, (time.monotonic() + delay_ms / 1e3, self._count, request, attempt + 1))
                return
        await self._reporter.put([report_of(request, outcome, self._clock.now_ns())])

    async def _cancel_all(self) -> None:
        accounts = self._open.accounts()
        if accounts:
            _log.warning("cancel_all", partition=self._number, accounts=len(accounts))
        self._counts["cancel_alls"] += len(accounts)
        now_ns = self._clock.now_ns()
        await self._reporter.put([CancelAll(account=account, ts_ns=now_ns) for account in accounts])


def caps_of(settings: RouteSettings) -> Caps:
    """Return the caps of the gateway from the settings."""
    return Caps(
        max_order_value=settings.max_order_value * 10**CASH_SCALE,
        max_orders_per_s=settings.max_orders_per_s,
        burst=settings.burst,
    )


def _lane(house: Gatehouse, context: FlowContext, _: str, partition: int) -> RouteLane:
    return RouteLane(house, context, partition)


def route_flow(make_venue: MakeVenue = paper_venue, start: SharedStart | None = None) -> Flow:
    """Return the flow with a venue of its own; `start` is shared with the owner in the same process."""
    house = Gatehouse(make_venue, start=start)
    return Flow(ROLE, ORDERS_JOURNAL.name, partial(_lane, house), service=house, fetch_gap_s=FETCH_GAP_S)
