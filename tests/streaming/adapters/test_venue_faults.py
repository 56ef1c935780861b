"""The fault script: each fault hits what it names, as often as it says."""

from typing import Any

from streaming.adapters.venue_faults import Fault, FaultScript
from tests.trading.orders.builders import T0, S, ack, canceled, fill, oid
from trading.commands import VenueReplaced
from trading.routing.plan import VenueRequest


def request(**changes: Any) -> VenueRequest:
    fields: dict[str, Any] = {
        "verb": "new", "request_id": "r", "account": "a", "order": oid(), "instrument": "XYZ.SIM", "side": "buy",
        "type": "limit", "tif": "gtc", "qty": 10, "hold_price": 9_900, "price_scale": 2, "qty_scale": 0,
    }  # fmt: skip
    return VenueRequest(**(fields | changes))


def test_requests_are_lost_before_or_after() -> None:
    script = FaultScript([Fault("drop_before", order="other"), Fault("drop_after")])
    asked = request(order=oid())
    assert script.send(asked) == "drop_after"
    assert script.send(asked) == ""
    assert script.say([ack(), fill()], T0) == [fill()]
    assert script.say([ack()], T0) == [ack()]


def test_the_answer_of_a_replacement_is_about_the_old_order() -> None:
    script = FaultScript([Fault("drop_after", verb="replace")])
    script.send(request(verb="replace", order="new", replaces=oid()))
    answer = VenueReplaced(account="a", ts_ns=T0, order=oid(), venue="SIM", new_order="new")
    assert script.say([ack(), answer], T0) == [ack()]


def test_reports_are_delayed_repeated_and_late() -> None:
    script = FaultScript([Fault("delay", order=oid("c2"), delay_ns=S), Fault("duplicate", order=oid("c3"))])
    assert script.say([fill("t2", "c2"), fill("t3", "c3")], T0) == [fill("t3", "c3")] * 2
    assert script.say([], T0 + S - 1) == []
    assert script.say([], T0 + S) == [fill("t2", "c2")]
    script = FaultScript([Fault("late")])
    assert script.say([fill(), fill("t2", "c2")], T0) == [fill("t2", "c2")]
    assert script.say([canceled()], T0) == [canceled(), fill()]
