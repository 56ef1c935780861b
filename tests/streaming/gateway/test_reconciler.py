"""What a pass reports, what it only notes, and what ends it."""

import msgspec

from streaming.adapters.venue_paper import PaperAdapter
from streaming.gateway.reconciler import Reconciler
from streaming.owner.clock import EventClock
from streaming.transport.follow import LogFollower
from tests.streaming.memory_broker import MemoryBroker
from tests.trading.orders.builders import T0, TABLE, XYZ, S, ack, desk, fill, oid, step, submit
from trading.commands import VenueCanceled, VenueFill
from trading.orders.journal import append, read_record
from trading.orders.reconcile import VenueOrder, VenueView
from trading.orders.state import State
from trading.routing.paper import PaperVenue
from trading.schemas import TICKS

LATER = T0 + 60 * S


class Told(PaperAdapter):
    """A venue that says what a test tells it."""

    def __init__(self, view: VenueView | None) -> None:
        super().__init__(PaperVenue(TABLE), EventClock(), LogFollower(MemoryBroker(), TICKS.name, {0: 0}))
        self.told = view

    def view(self, account: str) -> VenueView | None:
        return self.told


def working() -> State:
    state = desk()
    step(state, submit())
    step(state, ack())
    return state


def test_a_lost_order_is_reported_and_a_missing_execution_at_once() -> None:
    watch = Reconciler(working(), period_s=0)
    gone = Told(VenueView(venue="SIM"))
    assert watch.compare(gone, T0 + S) == []
    assert [type(fix) for fix in watch.compare(gone, LATER)] == [VenueCanceled]
    shown = VenueOrder(order=oid(), instrument=XYZ.id, status="new", filled_qty=10)
    assert [type(fix) for fix in watch.compare(Told(VenueView(venue="SIM", orders=(shown,), fills=(fill(),))), T0)] == [
        VenueFill
    ]
    assert watch.stats()["mended"] == {"ORDER_GONE": 1, "FILL_MISSING": 1}


def test_an_order_that_the_venue_cannot_tell_of_yet_is_left_alone() -> None:
    watch = Reconciler(working())
    assert watch.compare(Told(VenueView(venue="SIM", on_their_way=frozenset({oid()}))), LATER) == []
    assert watch.compare(Told(None), LATER) == []
    assert watch.stats() == {"passes": 2, "no_view": 1, "broken": 0, "mended": {}, "open": {}}


def test_what_nobody_can_mend_is_noted_once_when_it_stays() -> None:
    watch = Reconciler(working())
    shown = VenueOrder(order=oid(), instrument=XYZ.id, status="new")
    stranger = VenueOrder(order="stranger", instrument=XYZ.id, status="new")
    odd = Told(VenueView(venue="SIM", orders=(shown, stranger), positions={XYZ.id: 5}))
    seen = []
    for _ in range(3):
        assert watch.compare(odd, LATER) == []
        seen.append(watch.stats()["open"])
    assert seen == [{}] + [{"ORDER_EXTERNAL": 1, "POSITION_DIFFERS": 1}] * 2
    even = Told(VenueView(venue="SIM", orders=(shown,)))
    for venue in (even, odd, even, odd):
        watch.compare(venue, LATER)
    assert watch.stats()["open"] == seen[-1]


def test_records_are_followed_and_one_that_does_not_fit_ends_it() -> None:
    owner = State()
    watch = Reconciler(State(), period_s=0)
    records = [read_record(append(owner, "", f"test:{n}", T0, ())) for n in range(2)]
    watch.follow(records[0], 0)
    assert watch.due()
    watch.follow(msgspec.structs.replace(records[1], seq=7), 1)
    assert not watch.due()
    watch.follow(records[1], 2)
    assert watch.compare(Told(None), LATER) == []
    assert watch.stats()["broken"] == 1


def test_a_pass_waits_for_its_time() -> None:
    assert not Reconciler(State()).due()
