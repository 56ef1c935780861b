"""Open orders from the journal: their story makes a venue equal to one that heard everything."""

from streaming.gateway.open_orders import OpenOrders
from tests.trading.orders.builders import T0, TABLE, ack, canceled, desk, fill, oid, step, submit
from trading.commands import AnyCommand, ReplaceOrder, VenueReplaced
from trading.events import AnyEvent, OrderAccepted
from trading.routing.paper import PaperVenue

NOBODY: frozenset[str] = frozenset()


def replaced(cid: str, new: str) -> list[AnyCommand]:
    return [
        ReplaceOrder(account="a", ts_ns=T0, order=oid(cid), client_order_id=new, qty="12"),
        VenueReplaced(account="a", ts_ns=T0, order=oid(cid), venue="SIM", new_order=oid(new), venue_order_id="v"),
    ]


def test_the_story_of_what_is_open_is_all_that_a_venue_needs() -> None:
    commands = [submit("c1"), ack("c1"), submit("c2"), ack("c2"), canceled("c2"), fill(qty="4"),
                *replaced("c1", "c3"), fill("t2", "c3", qty="1"), *replaced("c3", "c4")]  # fmt: skip
    state, book, whole = desk(), OpenOrders(), PaperVenue(TABLE)
    for command in commands:
        for event in step(state, command):
            book.apply(event)
            whole.apply(event)
    again = PaperVenue(TABLE)
    story = book.tell(NOBODY)
    for event in story:
        again.apply(event)
    assert book.orders() == list(again.orders) == [oid("c4")]
    assert again.orders[oid("c4")].leaves == whole.orders[oid("c4")].leaves == 7
    assert not any(getattr(event, "order", "") == oid("c2") for event in story)
    assert book.accounts() == ["a"]


def test_memory_is_that_of_the_open_orders() -> None:
    state, book = desk(), OpenOrders()
    events: list[AnyEvent] = []
    for number in range(50):
        for command in (submit(f"c{number}"), ack(f"c{number}"), fill(f"t{number}", f"c{number}")):
            events += step(state, command)
    for event in events:
        book.apply(event)
    assert book.tell(NOBODY) == []
    assert (book.orders(), book.accounts()) == ([], [])


def test_orders_can_be_left_out() -> None:
    state, book = desk(), OpenOrders()
    for cid in ("c1", "c2"):
        for event in step(state, submit(cid)):
            book.apply(event)
    assert [e.order for e in book.tell(frozenset({oid("c1")})) if isinstance(e, OrderAccepted)] == [oid("c2")]


def test_a_story_that_was_told_is_not_kept() -> None:
    state, book = desk(), OpenOrders()
    for event in step(state, submit("c1")):
        book.apply(event)
    assert book.tell(NOBODY)
    for command in (ack("c1"), submit("c2"), canceled("c1")):
        for event in step(state, command):
            book.apply(event)
    assert (book.orders(), list(book.outbox.asked)) == ([oid("c2")], [oid("c2")])
    assert book._stories is None
