"""The paper venue at work: ticks in, reports out, and requests with every outcome."""

from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec
import pytest

from streaming.adapters.venue_faults import Fault, FaultScript
from streaming.adapters.venue_paper import PaperAdapter
from streaming.owner.clock import EventClock
from streaming.transport.client import BrokerError, Record
from streaming.transport.follow import LogFollower
from tests.streaming.memory_broker import MemoryBroker
from tests.streaming.order_ring import tick
from tests.streaming.poll import until
from tests.trading.orders.builders import T0, TABLE, S, ack, desk, oid, step, submit
from trading.commands import (
    AnyCommand,
    ReplaceOrder,
    VenueAccepted,
    VenueCanceled,
    VenueExpired,
    VenueFill,
    VenueReport,
)
from trading.events import OrderMoved
from trading.market.batches import ABSENT, QUOTE, TRADE
from trading.market.flags import CROSS
from trading.orders.reconcile import VenueView
from trading.routing.models import FixedLatency, Models
from trading.routing.paper import PaperVenue
from trading.routing.plan import Found, NotFound, Outbox, Unknown, VenueRequest
from trading.schemas import TICKS


class Bench:
    """An adapter with its ticks, and what it delivered."""

    def __init__(self, models: Models | None = None) -> None:
        self.broker = MemoryBroker()
        self.faults = FaultScript()
        self.said: list[VenueReport] = []
        self.clock = EventClock()
        self.clock.advance(T0)
        follower = LogFollower(self.broker, TICKS.name, {0: 0})
        self.venue = PaperAdapter(PaperVenue(TABLE, models), self.clock, follower, self.faults)

    async def keep(self, reports: Sequence[VenueReport]) -> None:
        self.said += reports

    async def ticks(self, *payloads: bytes) -> None:
        before = self.venue.stats()
        await self.broker.append(TICKS.name, 0, [(None, payload) for payload in payloads])
        await until(lambda: _seen(self.venue.stats()) == _seen(before) + len(payloads))


def _seen(stats: Mapping[str, int]) -> int:
    return stats["ticks"] + stats["refused"]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    await made.venue.start(made.keep)
    yield made
    await made.venue.stop()


def asked(command: AnyCommand | None = None) -> VenueRequest:
    """Return the request for an order that the core has accepted."""
    box = Outbox()
    requests = [box.apply(event) for event in step(desk(), command or submit())]
    return next(request for request in requests if request is not None)


def again(request: VenueRequest, verb: str) -> VenueRequest:
    return msgspec.structs.replace(request, verb=verb, request_id=f"{request.order}-{verb}")


async def test_quotes_and_trades_fill_and_what_is_unusable_does_not(bench: Bench) -> None:
    assert await bench.venue.send(asked(), T0) is None
    assert [type(report) for report in bench.said] == [VenueAccepted]
    await bench.ticks(tick(QUOTE, 9_000, 5, flags=CROSS).encode(), b"not a batch", tick(TRADE, 9_900, 3).encode())
    await bench.ticks(tick(QUOTE, 9_890, 4).encode())
    fills = [report for report in bench.said if isinstance(report, VenueFill)]
    assert [(fill.qty, fill.price, fill.liquidity) for fill in fills] == [("3", "99", "maker"), ("4", "98.92", "taker")]
    assert bench.venue.stats()["refused"] == 1


async def test_a_quote_of_one_side_leaves_the_other_even_of_an_instrument_without_orders(bench: Bench) -> None:
    whole, low = tick(QUOTE, 9_890, 4), tick(QUOTE, 9_880, 7)
    low.ask[:] = low.ask_qty[:] = ABSENT
    await bench.ticks(whole.encode(), low.encode())
    await bench.venue.send(asked(submit(type="market", qty="3")), T0)
    (fill,) = [report for report in bench.said if isinstance(report, VenueFill)]
    assert (fill.qty, fill.price) == ("3", "98.92")


async def test_a_report_says_how_far_the_market_was_seen(bench: Bench) -> None:
    await bench.ticks(tick(QUOTE, 9_890, 4, T0 + 1).encode(), tick(TRADE, 9_000, 1, T0 + 2).encode())
    await bench.venue.send(asked(), T0)
    await bench.ticks(tick(TRADE, 9_900, 3, T0 + 5).encode())
    assert [report.seen_ns - T0 for report in bench.said] == [2, 2, 5]


async def test_a_request_waits_for_the_ticks_that_were_there_before_it() -> None:
    bench = Bench()
    await bench.broker.append(TICKS.name, 0, [(None, tick(QUOTE, 9_890, 100, T0 + 3).encode())])
    bench.clock.advance(T0 + 5)
    assert await bench.venue.send(asked(submit(type="market")), T0 + 5) is None
    assert bench.said == []
    await bench.venue.start(bench.keep)
    await until(lambda: len(bench.said) == 2)
    assert [report.seen_ns - T0 for report in bench.said] == [3, 3]
    await bench.venue.stop()


async def test_a_query_finds_the_order_or_says_that_it_never_came(bench: Bench) -> None:
    request = asked()
    assert await bench.venue.send(again(request, "query"), T0) == NotFound()
    await bench.venue.send(request, T0)
    await bench.ticks(tick(TRADE, 9_900, 3).encode())
    found = await bench.venue.send(again(request, "query"), T0)
    assert isinstance(found, Found)
    assert (found.status, found.filled_qty) == ("new", "3")
    await bench.venue.send(again(request, "cancel"), T0)
    assert isinstance(bench.said[-1], VenueCanceled)
    assert isinstance(found := await bench.venue.send(again(request, "query"), T0), Found)
    assert found.status == "canceled"
    await bench.venue.send(again(asked(submit("other")), "cancel"), T0)


async def test_what_is_on_its_way_or_was_lost_is_unknown() -> None:
    bench = Bench(Models(latency=FixedLatency(S)))
    await bench.venue.start(bench.keep)
    request = asked()
    bench.faults.faults.append(Fault("drop_before"))
    assert await bench.venue.send(request, T0) == Unknown("NO_ANSWER")
    assert await bench.venue.send(again(request, "cancel"), T0) == Unknown("NOT_HERE")
    assert await bench.venue.send(request, T0) is None
    assert await bench.venue.send(again(request, "query"), T0) == Unknown("ON_ITS_WAY")
    bench.venue.disconnect()
    assert await bench.venue.send(again(request, "query"), T0) == Unknown("DISCONNECTED")
    assert (bench.venue.connected, bench.venue.drops) == (False, 1)
    bench.venue.reconnect()
    bench.clock.advance(T0 + S)
    await until(lambda: bool(bench.said))
    assert isinstance(bench.said[0], VenueAccepted)
    await bench.venue.stop()


async def test_the_view_has_the_orders_of_an_account_in_every_state() -> None:
    bench = Bench()
    core = desk()
    commands = [submit(), submit("c2", type="stop", stop_price="102"), submit("c3")]
    for command in commands:
        events = step(core, command)
        box = Outbox()
        await bench.venue.send(next(request for event in events if (request := box.apply(event))), T0)
    bench.venue.on_ticks(tick(TRADE, 9_900, 3))
    bench.clock.advance(T0)
    view = bench.venue.view("a")
    assert view is not None
    assert (view.positions, view.on_their_way) == (None, frozenset())
    assert [(order.order, order.status, order.filled_qty) for order in view.orders] == [
        (oid(), "new", 3), (oid("c2"), "held", 0), (oid("c3"), "new", 0),
    ]  # fmt: skip
    bench.venue.on_ticks(tick(TRADE, 9_900, 7))
    view = bench.venue.view("a")
    assert view is not None
    assert [(order.status, order.filled_qty) for order in view.orders] == [("filled", 10), ("held", 0), ("new", 0)]
    assert bench.venue.view("stranger") == VenueView(venue="PAPER")
    bench.venue.disconnect()
    assert bench.venue.view("a") is None


async def test_the_view_leaves_what_is_on_its_way_and_what_is_replaced_open() -> None:
    bench = Bench(Models(latency=FixedLatency(S)))
    core = desk()
    events = [*step(core, submit()), OrderMoved("a", T0, oid(), "new")]
    bench.venue.adopt(events)
    core_replace = ReplaceOrder(account="a", ts_ns=T0, order=oid(), client_order_id="c2", qty="12")
    step(core, ack())
    bench.venue.adopt(step(core, core_replace))
    view = bench.venue.view("a")
    assert view is not None
    assert (view.on_their_way, [order.order for order in view.orders]) == (frozenset({oid("c2")}), [oid()])
    await bench.venue.send(again(asked(), "query"), T0 + S)
    view = bench.venue.view("a")
    assert view is not None
    assert ([order.order for order in view.orders], oid() in view.on_their_way) == ([oid("c2")], True)


async def test_where_nothing_is_quoted_a_market_order_takes_the_trades(bench: Bench) -> None:
    await bench.ticks(tick(TRADE, 9_900, 4).encode())
    await bench.venue.send(asked(submit(type="market")), T0)
    await bench.ticks(tick(TRADE, 9_910, 100).encode())
    fills = [(report.qty, report.price) for report in bench.said if isinstance(report, VenueFill)]
    assert fills == [("4", "99"), ("6", "99.1")]
    # Once there are quotes, trades move nobody's price any more.
    await bench.ticks(tick(QUOTE, 9_990, 5).encode(), tick(TRADE, 9_900, 100).encode())
    await bench.venue.send(asked(submit("c2", type="market", qty="5")), T0)
    assert [report.price for report in bench.said if isinstance(report, VenueFill)][2:] == ["99.92"]


async def test_time_alone_expires_an_order(bench: Bench) -> None:
    await bench.venue.send(asked(submit(tif="gtd", expire_ts_ns=T0 + S)), T0)
    bench.clock.advance(T0 + S)
    await until(lambda: isinstance(bench.said[-1], VenueExpired))


async def test_an_adopted_order_goes_on_and_a_forgotten_one_is_silent(bench: Bench) -> None:
    events = step(desk(), submit())
    bench.venue.adopt([*events, OrderMoved("a", T0, oid(), "new")])
    await bench.ticks(tick(TRADE, 9_900, 3).encode())
    assert [report.order for report in bench.said] == [oid()]
    bench.venue.forget([oid(), "stranger"])
    await bench.ticks(tick(TRADE, 9_900, 3).encode())
    assert len(bench.said) == 1
    assert bench.venue.stats()["orders"] == 0


class Failing:
    """A follower whose broker is gone once."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def take(self, timeout_s: float) -> list[Record]:
        self.calls.append("take")
        raise BrokerError("BROKER_UNREACHABLE", f"nothing in {timeout_s} s", retriable=True)

    async def behind(self) -> bool:
        return False

    async def stop(self) -> None:
        self.calls.append("stop")


async def test_a_broker_that_fails_is_left_and_asked_again(bench: Bench) -> None:
    follower = Failing()
    venue = PaperAdapter(PaperVenue(TABLE), EventClock(), follower)
    await venue.start(bench.keep)
    await until(lambda: follower.calls == ["take", "stop"])
    await venue.stop()
