"""The paper venue against ticks, and after a restart."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.orders.builders import T0, TABLE, XYZ, S, desk, oid, row, step, submit
from trading.commands import AnyCommand, CancelOrder, ReplaceOrder, VenueFill, VenueReport
from trading.events import AnyEvent
from trading.orders.snapshot import state_hash
from trading.routing.models import FixedLatency, Models, Participation, PpmFee, TickSlippage
from trading.routing.paper import PaperVenue


class Ring:
    """The owner and the venue, each seeing what the other journals."""

    def __init__(self, models: Models | None = None, **limits: Any) -> None:
        self.state = desk(**limits)
        self.models = models
        self.venue = PaperVenue(TABLE, models)
        self.journal: list[AnyEvent] = []
        self.now = T0

    def send(self, command: AnyCommand) -> None:
        for event in step(self.state, command):
            self.journal.append(event)
            self.venue.apply(event)
        self.take(self.venue.advance(self.now))

    def take(self, reports: list[VenueReport]) -> None:
        while reports:
            for report in reports:
                for event in step(self.state, report):
                    self.journal.append(event)
                    self.venue.apply(event)
            reports = self.venue.advance(self.now)

    def quote(self, bid: int, ask: int, size: int = 1_000) -> None:
        self.take(self.venue.on_quote(XYZ.id, self.now, bid, size, ask, size))

    def trade(self, price: int, qty: int) -> None:
        self.take(self.venue.on_trade(XYZ.id, self.now, price, qty))

    def status(self, cid: str = "c1") -> tuple[str, int]:
        return row(self.state, cid).status, row(self.state, cid).filled

    def restart(self) -> None:
        self.venue = PaperVenue(TABLE, self.models)
        for event in self.journal:
            self.venue.apply(event)


def test_a_market_order_takes_the_touch_with_slippage_and_fee() -> None:
    ring = Ring(Models(slippage=TickSlippage(2), fees=PpmFee(0, 1_000)))
    ring.quote(9_990, 10_010)
    ring.send(submit(type="market"))
    assert ring.status() == ("filled", 10)
    assert (row(ring.state).cost, row(ring.state).fee) == (10_012 * 10**8, 10_012 * 10**5)


def test_a_limit_order_rests_and_fills_by_volume_in_order_of_acceptance() -> None:
    ring = Ring(Models(fill=Participation(5_000)))
    ring.quote(9_990, 10_010)
    ring.send(submit("c1"))
    ring.send(submit("c2"))
    assert ring.status() == ("new", 0)
    ring.trade(9_901, 100)
    assert ring.status() == ("new", 0)
    ring.trade(9_900, 24)
    assert (ring.status("c1"), ring.status("c2")) == (("filled", 10), ("partially_filled", 2))


def test_a_quote_of_one_side_leaves_the_other_with_what_orders_took_of_it() -> None:
    ring = Ring()
    ring.quote(9_990, 10_010, size=14)
    ring.send(submit("c1", type="market"))
    ring.take(ring.venue.on_quote(XYZ.id, ring.now, 9_980, 5, None, 0))
    ring.send(submit("c2", type="market"))
    assert (ring.status("c1"), ring.status("c2")) == (("filled", 10), ("partially_filled", 4))
    assert (ring.venue.shown[XYZ.id].bid, ring.venue.shown[XYZ.id].bid_qty) == (9_980, 5)


def test_a_quote_through_the_limit_fills_at_the_quote() -> None:
    ring = Ring()
    ring.quote(9_990, 10_010)
    ring.send(submit())
    ring.quote(9_800, 9_850, size=4)
    assert (ring.status(), row(ring.state).cost) == (("partially_filled", 4), 4 * 9_850 * 10**7)


def test_a_quote_of_one_side_leaves_the_other_as_it_was() -> None:
    ring = Ring()
    ring.quote(9_990, 10_010, size=15)
    ring.send(submit("c1", type="market"))
    ring.take(ring.venue.on_quote(XYZ.id, ring.now, 9_980, 7, None, 0))
    ring.send(submit("c2", type="market"))
    assert (ring.status("c1"), ring.status("c2")) == (("filled", 10), ("partially_filled", 5))
    assert ring.venue.shown[XYZ.id].bid == 9_980


def test_immediate_orders_never_rest() -> None:
    ring = Ring()
    ring.quote(9_890, 9_900, size=4)
    ring.send(submit("ioc", tif="ioc"))
    assert ring.status("ioc") == ("canceled", 4)
    ring.quote(9_890, 9_900, size=4)
    ring.send(submit("fok", tif="fok"))
    assert ring.status("fok") == ("canceled", 0)
    ring.send(submit("ok", tif="fok", qty="4"))
    assert ring.status("ok") == ("filled", 4)


def test_stops_wait_for_their_price() -> None:
    ring = Ring()
    ring.quote(9_990, 10_010)
    ring.send(submit("down", type="stop", stop_price="95", side="sell", limit_price=None, qty="1"))
    ring.send(submit("s", type="stop", stop_price="101"))
    ring.send(submit("sl", type="stop_limit", stop_price="101", limit_price="101.50", side="buy"))
    ring.trade(10_050, 5)
    assert ring.status("s") == ("new", 0)
    ring.trade(10_100, 5)
    assert (ring.status("s"), ring.status("sl"), ring.status("down")) == (("filled", 10), ("filled", 10), ("new", 0))


def test_latency_delays_requests_and_a_cancel_may_come_too_late() -> None:
    ring = Ring(Models(latency=FixedLatency(S)))
    ring.quote(9_890, 9_900)
    ring.send(submit())
    assert ring.status() == ("pending_new", 0)
    ring.send(CancelOrder(account="a", ts_ns=T0, order=oid()))
    ring.now += S
    ring.take(ring.venue.advance(ring.now))
    assert ring.status() == ("filled", 10)


def test_cancel_replace_and_expiry() -> None:
    ring = Ring()
    ring.quote(9_990, 10_010)
    ring.send(submit())
    ring.trade(9_900, 4)
    ring.send(ReplaceOrder(account="a", ts_ns=T0, order=oid(), client_order_id="c2", qty="12", limit_price="98"))
    assert (ring.status("c1"), ring.status("c2")) == (("replaced", 4), ("new", 0))
    ring.trade(9_800, 100)
    assert ring.status("c2") == ("filled", 8)
    ring.send(submit("x"))
    ring.send(CancelOrder(account="a", ts_ns=T0, order=oid("x")))
    assert ring.status("x") == ("canceled", 0)
    ring.send(submit("g", tif="gtd", expire_ts_ns=T0 + S))
    ring.now = T0 + S
    ring.take(ring.venue.advance(ring.now))
    assert ring.status("g") == ("expired", 0)


def test_a_trade_id_depends_on_the_order_and_n_alone() -> None:
    ids = []
    for size in (3, 7):
        ring = Ring()
        ring.quote(9_890, 9_900, size=size)
        made = step(ring.state, submit())
        ring.venue.apply(made[0])
        ids.append([report.trade_id for report in ring.venue.advance(T0) if isinstance(report, VenueFill)])
    assert ids[0] == ids[1]


ticks = st.one_of(
    st.tuples(st.just("quote"), st.integers(9_600, 10_400), st.integers(1, 15)),
    st.tuples(st.just("trade"), st.integers(9_600, 10_400), st.integers(1, 15)),
    st.tuples(st.sampled_from(["buy", "sell"]), st.integers(9_700, 10_300), st.integers(1, 9)),
    st.tuples(st.just("cancel"), st.integers(0, 5), st.just(0)),
    st.tuples(st.just("replace"), st.integers(0, 5), st.integers(5, 15)),
)


def play(script: list[tuple[str, int, int]], restarts: set[int]) -> Ring:
    ring = Ring(Models(fees=PpmFee(100, 200)))
    for n, (what, number, size) in enumerate(script):
        if n in restarts:
            shown = ring.venue.shown
            ring.restart()
            ring.venue.shown = shown
            ring.take(ring.venue.advance(ring.now))
        ring.now += 10**6
        if what == "quote":
            ring.quote(number, number + 4, size)
        elif what == "trade":
            ring.trade(number, size)
        elif what in ("buy", "sell"):
            price = f"{number // 100}.{number % 100:02d}"
            ring.send(submit(f"c{n}", side=what, qty=str(size), limit_price=price, ts_ns=ring.now))
        elif what == "cancel":
            ring.send(CancelOrder(account="a", ts_ns=ring.now, order=oid(f"c{number}")))
        else:
            ring.send(
                ReplaceOrder(
                    account="a", ts_ns=ring.now, order=oid(f"c{number}"), client_order_id=f"r{n}", qty=str(size)
                )
            )
    return ring


@settings(max_examples=60, deadline=None)
@given(st.lists(ticks, max_size=25), st.sets(st.integers(0, 24), max_size=3))
def test_a_restarted_venue_trades_the_same(script: list[tuple[str, int, int]], restarts: set[int]) -> None:
    whole, broken = play(script, set()), play(script, restarts)
    assert state_hash(whole.state) == state_hash(broken.state)
    for order in whole.state.orders.values():
        assert 0 <= order.filled <= order.intent.qty
        assert not order.overfilled
