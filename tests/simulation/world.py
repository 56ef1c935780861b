"""The real core between a topic, a journal, a snapshot and a venue, all of which outlive the process or do not.

`durable` is the journal as the broker has it; `queued` is decided and not yet written. A crash keeps some of what was
queued, in order, and nothing else. Whatever an answer, a gateway or a venue sees comes from `durable`.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from streaming.owner.apply import apply
from tests.simulation.ledger import Ledger
from tests.simulation.plan import Features
from tests.simulation.venue import Exchange
from tests.trading.orders.builders import T0, TABLE, model
from trading.commands import AnyCommand, VenueReport
from trading.events import AnyEvent, KillChanged
from trading.orders import journal
from trading.orders.snapshot import changed_rows, restore, watermark
from trading.orders.state import State
from trading.risk.market import MarketView, Quote, quote
from trading.routing.models import FixedLatency, Models, Participation, PpmFee, TickSlippage
from trading.routing.modes import Caps, Gateway
from trading.routing.paper import PaperVenue
from trading.routing.plan import Denied, Outbox, VenueRequest, report_of

TOPIC = "orders.commands"
SOURCE = f"{TOPIC}:0"
MODEL = model(days=40)
CAPS = Caps(max_order_value=10**18, max_orders_per_s=10**6, burst=10**6)
PAPER_MODELS = Models(Participation(6_000), FixedLatency(10**6), TickSlippage(1), PpmFee(100, 300))


class ViolationError(AssertionError):
    """An invariant does not hold. `name` is the invariant."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name


class Entry(NamedTuple):
    """A command that was decided, what followed, and the journal from its first record to its last."""

    first: int
    seq: int
    command: AnyCommand
    cause: str
    kept: bool
    events: tuple[AnyEvent, ...]


class Moment(NamedTuple):
    """One decision, seen before the ledger has taken it."""

    world: "World"
    command: AnyCommand
    cause: str
    events: tuple[AnyEvent, ...]
    records: tuple[bytes, ...]
    view: MarketView


class Watcher(Protocol):
    """Whoever checks invariants."""

    def deciding(self, world: "World", command: AnyCommand) -> None:
        """Look at a command before it is decided."""
        ...

    def decided(self, moment: Moment) -> None:
        """Look at a decision before the ledger takes it."""
        ...

    def settled(self, world: "World", moment: Moment) -> None:
        """Look at the state after the ledger has taken a decision."""
        ...

    def recovered(self, world: "World", before: State | None) -> None:
        """Look at a state that was read back; `before` if nothing was lost."""
        ...

    def sent(self, world: "World", request: VenueRequest, *, killed: bool) -> None:
        """Look at a request that leaves the gateway."""
        ...


class World:
    """Everything of one schedule."""

    def __init__(self, features: Features, watcher: Watcher) -> None:
        self.features = features
        self.watcher = watcher
        self.now_ns = T0
        self.state = State()
        self.ledger = Ledger()
        self.log: list[Entry] = []
        self.topic: list[AnyCommand] = []
        self.durable: list[bytes] = []
        self.queued: list[bytes] = []
        self.snapshot: dict[str, bytes] = {}
        self.snapshot_at = -1
        self.acknowledged: dict[tuple[str, str], str] = {}
        self.waiting: list[tuple[int, str, str, str]] = []
        self.story: list[str | tuple[str, AnyCommand, tuple[AnyEvent, ...]]] = []
        self.calls = 0
        # Between gateway and venue.
        self.exchange = Exchange()
        self.paper = self.new_paper()
        self.requests: list[VenueRequest] = []
        self.reports: list[VenueReport] = []
        self.view = self._open_market()
        self._restart_gateway()

    @property
    def names(self) -> list[str]:
        """Return the instruments."""
        return [instrument.id for instrument in TABLE]

    @property
    def accounts(self) -> list[str]:
        """Return the account ids of this schedule."""
        return [f"a{n}" for n in range(self.features.accounts)]

    def new_paper(self) -> PaperVenue | None:
        """Return an empty paper venue, if this schedule uses it."""
        return PaperVenue(TABLE, PAPER_MODELS) if self.features.paper else None

    # The owner.

    def call(self, command: AnyCommand) -> tuple[AnyEvent, ...]:
        """Take a command over the direct way."""
        self.calls += 1
        return self._take(command, f"api-{self.calls}", kept=False)

    def produce(self, command: AnyCommand) -> None:
        """Take a command over the topic."""
        self.topic.append(command)
        self.consume(len(self.topic) - 1)

    def consume(self, offset: int) -> None:
        """Take one record of the topic, unless it was worked."""
        if journal.is_worked(self.state, TOPIC, 0, offset):
            return
        self._take(self.topic[offset], f"{SOURCE}:{offset}", kept=True)

    def _take(self, command: AnyCommand, cause: str, *, kept: bool) -> tuple[AnyEvent, ...]:
        command = msgspec.structs.replace(command, ts_ns=self.now_ns)
        self.watcher.deciding(self, command)
        first = self.state.seq + 1
        applied = apply(self.state, command, cause, self.now_ns, self.view, keep_cause=kept)
        events, records = applied.answer.events, tuple(payload for _, payload in applied.records)
        self.queued += records
        self.story.append((cause, command, events))
        moment = Moment(self, command, cause, events, records, self.view)
        self.watcher.decided(moment)
        self.ledger.observe(command, events, cause, kept=kept)
        self.log.append(Entry(min(first, self.state.seq), self.state.seq, command, cause, kept, events))
        self.watcher.settled(self, moment)
        if not kept:
            self._note_waiter(command, events)
        if len(self.queued) > self.features.group:
            self.flush()
        return events

    def _note_waiter(self, command: AnyCommand, events: Sequence[AnyEvent]) -> None:
        for event in events:
            if type(event).__name__ == "OrderAccepted":
                client_id = getattr(command, "client_order_id", "")
                self.waiting.append((self.state.seq, command.account, client_id, getattr(event, "order", "")))

    # The journal.

    def flush(self, count: int | None = None) -> None:
        """Make what was queued durable, or its first records; then answers go out and the gateway reads on."""
        count = len(self.queued) if count is None else count
        written, self.queued = self.queued[:count], self.queued[count:]
        self.durable += written
        seq = self._durable_seq()
        for _, account, client_id, order in [entry for entry in self.waiting if entry[0] <= seq]:
            self.acknowledged[account, client_id] = order
        self.waiting = [entry for entry in self.waiting if entry[0] > seq]
        self.follow(written)

    def _durable_seq(self) -> int:
        return len(self.durable)

    def take_snapshot(self) -> None:
        """Write the changed rows and the watermark."""
        self.flush()
        for key, value in (*changed_rows(self.state), watermark(self.state, len(self.durable) - 1)):
            if value is None:
                self.snapshot.pop(key, None)
            else:
                self.snapshot[key] = value
        self.state.dirty.clear()
        self.snapshot_at = len(self.durable) - 1

    def crash(self, keep: int, rewind: int) -> None:
        """Lose the process: `keep` queued records were written; the topic is read again from `rewind` back."""
        before = self.state if keep >= len(self.queued) else None
        self.flush(min(keep, len(self.queued)))
        self.queued.clear()
        self.waiting.clear()
        seq = self._durable_seq()
        self.log = [self._whole(entry, seq) for entry in self.log if entry.first <= seq]
        self.story.append(f"CRASH keep={keep} durable={seq} snapshot_at={self.snapshot_at} rewind={rewind}")
        self.ledger = Ledger()
        for entry in self.log:
            self.ledger.observe(entry.command, entry.events, entry.cause, kept=entry.kept)
        self.state = self.read_back(use_snapshot=True)
        self.watcher.recovered(self, before)
        payload = journal.append_fence(self.state, "owner", self.now_ns)
        self.durable.append(payload)
        self.state.generation = len(self.durable) - 1
        self.follow([payload])
        self._resume(rewind)

    def _whole(self, entry: Entry, seq: int) -> Entry:
        """Cut an entry down to the records of it that were written: its cause does not count as worked then."""
        if entry.seq <= seq:
            return entry
        written = [journal.read_record(payload) for payload in self.durable[entry.first - 1 : seq]]
        events = tuple(event for record in written for event in record.events)
        return Entry(entry.first, seq, entry.command, entry.cause, False, events)

    def _resume(self, rewind: int) -> None:
        for offset in range(max(0, len(self.topic) - rewind), len(self.topic)):
            self.consume(offset)
        high = self.state.causes.get(SOURCE, -1)
        for offset in range(high + 1, len(self.topic)):
            self.consume(offset)

    def read_back(self, *, use_snapshot: bool) -> State:
        """Return the state as it is found on disk."""
        rows = self.snapshot.items() if use_snapshot and self.snapshot else ()
        state, offset = restore(rows)
        for place in range(offset + 1, len(self.durable)):
            journal.fold(state, journal.read_record(self.durable[place]), offset=place)
        return state

    # The gateway.

    def follow(self, payloads: Sequence[bytes]) -> None:
        """Let the gateway and the paper venue read records that are durable now."""
        for payload in payloads:
            for event in journal.read_record(payload).events:
                self._route(event)
        if self.paper is not None:
            self.reports += self.paper.advance(self.now_ns)

    def _route(self, event: AnyEvent) -> None:
        self.gateway.apply(event)
        if isinstance(event, KillChanged):
            self.killed_on_route = event.on
        request = self.outbox.apply(event)
        if self.paper is not None:
            self.paper.apply(event)
        if request is not None:
            self.send(request)

    def send(self, request: VenueRequest) -> None:
        """Let a request pass the gateway, or report that it did not."""
        denied = self.gateway.deny(request, self.now_ns)
        if denied:
            self.reports.append(report_of(request, Denied(denied), self.now_ns))
            return
        self.watcher.sent(self, request, killed=self.killed_on_route)
        if self.paper is None:
            self.requests.append(request)

    def restart_gateway(self) -> None:
        """Lose the gateway; a new one folds the journal and asks what became of what was pending."""
        if self.paper is not None:
            self.paper = self.new_paper()
        self._restart_gateway()
        for payload in self.durable:
            for event in journal.read_record(payload).events:
                self.gateway.apply(event)
                self.outbox.apply(event)
                if isinstance(event, KillChanged):
                    self.killed_on_route = event.on
                if self.paper is not None:
                    self.paper.apply(event)
        for request in self.outbox.pending():
            self.send(request)

    def _restart_gateway(self) -> None:
        self.outbox, self.gateway, self.killed_on_route = Outbox(), Gateway(CAPS), False

    # The market.

    def _open_market(self) -> MarketView:
        quotes: dict[str, Quote] = {}
        for instrument in TABLE:
            mark = 100 * 10**instrument.price_scale
            made = quote(T0, mark - instrument.tick, mark + instrument.tick, mark)
            assert made is not None
            quotes[instrument.id] = made
        closes = {"XNYS": T0 + 3_600 * 10**9}
        return MarketView(TABLE, quotes, MODEL, closes, 1)

    def seen(self, instrument: str) -> Quote | None:
        """Return the newest quote of an instrument."""
        return dict(self.view.quotes).get(instrument)

    def set_quotes(self, changes: dict[str, Quote | None]) -> None:
        """Change prices, or take them away."""
        quotes = {**self.view.quotes, **{k: v for k, v in changes.items() if v is not None}}
        for name, value in changes.items():
            if value is None:
                quotes.pop(name, None)
        self.view = MarketView(TABLE, quotes, self.view.model, self.view.closes, self.view.version + 1)
