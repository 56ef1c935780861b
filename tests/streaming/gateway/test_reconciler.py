"""What a pass reports, what it only notes, and what ends it."""

import msgspec
import pytest

from streaming.adapters.venue_paper import PaperAdapter
from streaming.gateway.barrier import OWNER
from streaming.gateway.reconciler import LOGGED, Reconciler
from streaming.gateway.reporter import Reporter
from streaming.owner.clock import EventClock
from streaming.transport.follow import LogFollower
from tests.streaming.memory_broker import MemoryBroker
from tests.trading.orders.builders import T0, TABLE, XYZ, S, ack, canceled, desk, fill, oid, step, submit
from trading.commands import VenueCanceled, VenueFill, VenueReport
from trading.orders.journal import append, read_record
from trading.orders.reconcile import VenueOrder, VenueView
from trading.orders.state import State
from trading.routing.paper import PaperVenue
from trading.schemas import ORDERS_COMMANDS, TICKS

LATER = T0 + 60 * S


class Told(PaperAdapter):
    """A venue that says what a test tells it."""

    def __init__(self, view: VenueView | None) -> None:
        super().__init__(PaperVenue(TABLE), EventClock(), LogFollower(MemoryBroker(), TICKS.name, {0: 0}))
        self.told = view

    def view(self, account: str) -> VenueView | None:
        return self.told


class Watch:
    """A reconciler of partition 0 whose owner works commands when the test says so."""

    def __init__(self, state: State) -> None:
        self.broker = MemoryBroker()
        self.reporter = Reporter(self.broker, 1)
        self.now_s = 0.0
        self.reconciler = Reconciler(self.broker, 0, state, period_s=0, clock=lambda: self.now_s)

    async def report(self, count: int) -> None:
        """Let something be on its way to the owner."""
        await self.broker.append(ORDERS_COMMANDS.name, 0, [(None, b"")] * count)

    def worked(self, offset: int) -> None:
        """Let the owner have worked all commands before an offset."""
        self.broker.offsets[OWNER, ORDERS_COMMANDS.name, 0] = offset

    async def go_on(self, venue: PaperAdapter, ts_ns: int = LATER) -> list[VenueReport]:
        return await self.reconciler.go_on(venue, self.reporter, 0, ts_ns)

    async def whole(self, venue: PaperAdapter, ts_ns: int = LATER) -> list[VenueReport]:
        """Look twice."""
        assert await self.go_on(venue, ts_ns) == []
        return await self.go_on(venue, ts_ns)


def working() -> State:
    state = desk()
    step(state, submit())
    step(state, ack())
    return state


@pytest.fixture
def watch() -> Watch:
    """Watch one working order."""
    return Watch(working())


def shown(order: str = "", filled_qty: int = 0) -> VenueOrder:
    return VenueOrder(order=order or oid(), instrument=XYZ.id, status="new", filled_qty=filled_qty)


async def test_a_look_that_takes_long_rests_before_the_next(watch: Watch) -> None:
    """At most a twentieth of the time is taken from the orders."""

    class Slow(Told):
        def view(self, account: str) -> VenueView | None:
            watch.now_s += 1.0
            return super().view(account)

    slow = Slow(VenueView(venue="SIM"))
    watch.reconciler = Reconciler(watch.broker, 0, working(), 60.0, lambda: watch.now_s)
    watch.now_s = 60.0
    assert await watch.go_on(slow) == []
    watch.now_s += 18.9
    assert await watch.go_on(slow) == []
    assert watch.now_s == 79.9
    watch.now_s += 0.2
    assert [type(fix) for fix in await watch.go_on(slow)] == [VenueCanceled]


@pytest.mark.parametrize("partition", range(9))
async def test_the_first_pass_is_never_later_than_a_period(partition: int) -> None:
    """And those of four partitions are apart."""
    watch, first_s = Watch(working()), 60 - partition % 4 * 7.5
    reconciler = Reconciler(watch.broker, partition, working(), 60.0, lambda: watch.now_s)
    venue = Told(VenueView(venue="SIM"))
    for now_s, passes in ((first_s - 0.1, 0), (first_s, 1), (first_s + 59.9, 1)):
        watch.now_s = now_s
        await reconciler.go_on(venue, watch.reporter, 0, T0)
        assert reconciler.stats()["passes"] == passes


async def test_a_lost_order_is_reported_and_a_missing_execution_too(watch: Watch) -> None:
    gone = Told(VenueView(venue="SIM"))
    assert await watch.whole(gone, T0 + S) == []
    assert [type(fix) for fix in await watch.whole(gone)] == [VenueCanceled]
    filled = Told(VenueView(venue="SIM", orders=(shown(filled_qty=10),), fills=(fill(),)))
    assert [type(fix) for fix in await watch.whole(filled, T0)] == [VenueFill]
    assert watch.reconciler.stats()["mended"] == {"ORDER_GONE": 1, "FILL_MISSING": 1}


async def test_what_was_on_its_way_is_no_difference_however_long_it_takes(watch: Watch) -> None:
    gone = Told(VenueView(venue="SIM"))
    assert await watch.go_on(gone) == []
    await watch.report(3)
    for offset in (0, 2):
        watch.worked(offset)
        assert await watch.go_on(gone) == []
    state = watch.reconciler._state
    assert state is not None
    step(state, canceled())
    watch.worked(3)
    assert await watch.go_on(gone) == []
    assert watch.reconciler.stats() == {"passes": 1, "no_view": 0, "broken": 0, "mended": {}, "open": {}}


async def test_a_report_that_is_not_written_yet_is_waited_for(watch: Watch) -> None:
    gone = Told(VenueView(venue="SIM"))
    await watch.reporter.put([canceled()])
    assert await watch.whole(gone) == []
    watch.reporter.start()
    await watch.reporter.flush()
    assert await watch.go_on(gone) == []
    watch.worked(1)
    assert len(await watch.go_on(gone)) == 1
    await watch.reporter.stop()


async def test_a_difference_that_came_between_the_looks_waits_for_the_next_pass(watch: Watch) -> None:
    state = watch.reconciler._state
    assert state is not None
    step(state, submit("c2"))
    step(state, ack("c2"))
    venue = Told(VenueView(venue="SIM", orders=(shown(),)))
    assert await watch.go_on(venue) == []
    venue.told = VenueView(venue="SIM")
    assert [fix.order for fix in await watch.go_on(venue)] == [oid("c2")]
    assert [fix.order for fix in await watch.whole(venue)] == sorted((oid(), oid("c2")))


async def test_an_order_that_the_venue_cannot_tell_of_yet_is_left_alone(watch: Watch) -> None:
    assert await watch.go_on(Told(VenueView(venue="SIM", on_their_way=frozenset({oid()})))) == []
    assert await watch.go_on(Told(None)) == []
    assert watch.reconciler.stats() == {"passes": 2, "no_view": 1, "broken": 0, "mended": {}, "open": {}}


async def test_what_nobody_can_mend_is_noted_once_while_it_stays(watch: Watch) -> None:
    odd = Told(VenueView(venue="SIM", orders=(shown(), shown("stranger")), positions={XYZ.id: 5}))
    seen = []
    for _ in range(3):
        assert await watch.whole(odd) == []
        seen.append(watch.reconciler.stats()["open"])
    assert seen == [{"ORDER_EXTERNAL": 1, "POSITION_DIFFERS": 1}] * 3
    assert await watch.go_on(Told(VenueView(venue="SIM", orders=(shown(),)))) == []
    assert await watch.whole(odd) == []
    assert watch.reconciler.stats()["open"] == {"ORDER_EXTERNAL": 2, "POSITION_DIFFERS": 2}


async def test_a_pass_with_many_differences_writes_few_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = desk()
    for number in range(LOGGED + 5):
        step(state, submit(f"c{number}"))
        step(state, ack(f"c{number}"))
    lines: list[str] = []
    monkeypatch.setattr("streaming.gateway.reconciler._log.warning", lambda event, **_: lines.append(event))
    watch = Watch(state)
    assert len(await watch.whole(Told(VenueView(venue="SIM")))) == LOGGED + 5
    assert lines == ["difference_mended"] * LOGGED + ["differences_mended"]


async def test_records_are_followed_and_one_that_does_not_fit_ends_it() -> None:
    owner = State()
    watch = Watch(State())
    records = [read_record(append(owner, "", f"test:{n}", T0, ())) for n in range(2)]
    watch.reconciler.follow(records[0], 0)
    watch.reconciler.follow(msgspec.structs.replace(records[1], seq=7), 1)
    watch.reconciler.follow(records[1], 2)
    assert await watch.whole(Told(None)) == []
    assert watch.reconciler.stats() | {"mended": {}} == {
        "passes": 0,
        "no_view": 0,
        "broken": 1,
        "mended": {},
        "open": {},
    }


async def test_a_pass_waits_for_its_time() -> None:
    watch = Watch(working())
    late = Reconciler(watch.broker, 0, working())
    assert await late.go_on(Told(VenueView(venue="SIM")), watch.reporter, 0, LATER) == []
    assert late.stats()["passes"] == 0
