"""What a snapshot tells again makes the same outbox and the same venue as the journal does."""

import pytest

from streaming.gateway.open_orders import OpenOrders
from streaming.gateway.restore import story_of
from tests.trading.orders.builders import T0, TABLE, ack, canceled, desk, fill, oid, step, submit
from trading.commands import AnyCommand, CancelOrder, ReplaceOrder, VenueReplaced, VenueUnknown
from trading.routing.paper import PaperVenue

NOBODY: frozenset[str] = frozenset()
CANCEL = CancelOrder(account="a", ts_ns=T0, order=oid())
REPLACE = ReplaceOrder(account="a", ts_ns=T0, order=oid(), client_order_id="c2", qty="12")
REPLACED = VenueReplaced(account="a", ts_ns=T0, order=oid(), venue="SIM", new_order=oid("c2"), venue_order_id="v")
UNKNOWN = VenueUnknown(account="a", ts_ns=T0, order=oid(), venue="SIM", reason="NO_ANSWER")


def venue_of(book: OpenOrders) -> dict[str, tuple[int, int, bool, bool]]:
    venue = PaperVenue(TABLE)
    for event in book.tell(NOBODY):
        venue.apply(event)
    return {id_: (order.leaves, order.fills, order.live, order.closing) for id_, order in venue.orders.items()}


@pytest.mark.parametrize(
    "commands",
    [
        [submit()],
        [submit(), ack()],
        [submit(), ack(held=True)],
        [submit(), ack(), fill(qty="4"), fill("t2", qty="3")],
        [submit(), fill(qty="4")],
        [submit(), ack(), CANCEL],
        [submit(), CANCEL],
        [submit(), UNKNOWN],
        [submit(), ack(), REPLACE],
        [submit(), ack(), fill(qty="4"), REPLACE, REPLACED],
        [submit(), ack(), REPLACE, REPLACED, fill("t2", "c2", qty="5")],
        [submit(), ack(), canceled(), submit("c3"), submit("c4"), ack("c4")],
    ],
)
def test_the_same_outbox_and_the_same_venue(commands: list[AnyCommand]) -> None:
    state, told = desk(), OpenOrders()
    for command in commands:
        for event in step(state, command):
            told.apply(event)
    again = OpenOrders()
    for event in story_of(state):
        again.apply(event)
    assert again.outbox.orders == told.outbox.orders
    assert again.outbox.asked == told.outbox.asked
    assert venue_of(again) == venue_of(told)
