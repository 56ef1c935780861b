"""Requests from the journal, and reports from outcomes."""

from typing import Any

import pytest

from tests.trading.orders.builders import T0, ack, canceled, desk, fill, oid, row, step, submit
from trading.commands import AnyCommand, CancelOrder, ReplaceOrder, VenueUnknown
from trading.orders.state import State
from trading.routing.plan import (
    RETRIES,
    Confirmed,
    Denied,
    Found,
    NotFound,
    Outbox,
    Outcome,
    Rejected,
    Unknown,
    VenueRequest,
    report_of,
)


def drive(state: State, box: Outbox, command: AnyCommand) -> list[VenueRequest]:
    made = [box.apply(event) for event in step(state, command)]
    return [request for request in made if request is not None]


def test_each_event_that_needs_a_venue_gives_one_request() -> None:
    state, box = desk(), Outbox()
    (new,) = drive(state, box, submit())
    assert (new.verb, new.request_id, new.venue, new.qty) == ("new", f"{oid()}-new", "SIM", 10)
    assert drive(state, box, ack()) == []
    (change,) = drive(
        state, box, ReplaceOrder(account="a", ts_ns=T0, order=oid(), client_order_id="c2", limit_price="98")
    )
    assert (change.verb, change.order, change.replaces) == ("replace", oid("c2"), oid())
    (cancel,) = drive(state, box, CancelOrder(account="a", ts_ns=T0, order=oid("c2")))
    assert (cancel.verb, cancel.request_id) == ("cancel", f"{oid('c2')}-cancel-1")
    assert drive(state, box, canceled("c2")) == []
    assert set(box.orders) == {oid()}


def test_fills_end_orders_and_prove_that_they_arrived() -> None:
    state, box = desk(), Outbox()
    drive(state, box, submit())
    drive(state, box, fill(qty="4"))
    assert (box.asked, set(box.orders)) == ({}, {oid()})
    drive(state, box, fill("t2", qty="6"))
    assert box.orders == {}


def test_a_cancel_stays_asked_while_fills_and_the_acknowledgement_cross_it() -> None:
    state, box = desk(), Outbox()
    drive(state, box, submit())
    drive(state, box, CancelOrder(account="a", ts_ns=T0, order=oid()))
    drive(state, box, ack())
    drive(state, box, fill(qty="4"))
    assert [request.verb for request in box.pending()] == ["cancel"]


def test_after_a_restart_new_orders_are_asked_about_not_sent_again() -> None:
    state, box = desk(), Outbox()
    drive(state, box, submit())
    drive(state, box, submit("c2"))
    drive(state, box, ack("c2"))
    drive(state, box, CancelOrder(account="a", ts_ns=T0, order=oid("c2")))
    assert [(r.verb, r.order) for r in box.pending()] == [("query", oid()), ("cancel", oid("c2"))]


def test_an_unknown_outcome_is_asked_under_the_same_order_id() -> None:
    state, box = desk(), Outbox()
    drive(state, box, submit())
    (query,) = drive(state, box, VenueUnknown(account="a", ts_ns=T0, order=oid()))
    assert (query.verb, query.order) == ("query", oid())


OUTCOMES: list[tuple[Outcome, str]] = [
    (Confirmed("v1"), "new"),
    (Rejected("NO"), "rejected"),
    (Denied("GATEWAY_RATE"), "rejected"),
    (Unknown("timeout"), "unknown"),
    (Found("new", "v1"), "new"),
    (NotFound(), "rejected"),
]


@pytest.mark.parametrize(("outcome", "status"), OUTCOMES, ids=[type(o).__name__ for o, _ in OUTCOMES])
def test_each_outcome_of_a_new_order(outcome: Outcome, status: str) -> None:
    state, box = desk(), Outbox()
    (request,) = drive(state, box, submit())
    step(state, report_of(request, outcome, T0))
    assert row(state).status == status


@pytest.mark.parametrize(
    ("outcome", "old", "new"),
    [
        (Confirmed("v2"), "replaced", "new"),
        (Rejected("NO"), "new", "rejected"),
        (Denied("NO"), "new", "rejected"),
        (Unknown("timeout"), "pending_replace", "unknown"),
    ],
)
def test_each_outcome_of_a_replacement(outcome: Any, old: str, new: str) -> None:
    state, box = desk(), Outbox()
    drive(state, box, submit())
    drive(state, box, ack())
    (request,) = drive(state, box, ReplaceOrder(account="a", ts_ns=T0, order=oid(), client_order_id="c2", qty="12"))
    step(state, report_of(request, outcome, T0))
    assert (row(state).status, row(state, "c2").status) == (old, new)


@pytest.mark.parametrize(
    ("outcome", "status"), [(Confirmed(), "canceled"), (Rejected("LATE"), "new"), (Unknown("x"), "unknown")]
)
def test_each_outcome_of_a_cancel(outcome: Any, status: str) -> None:
    state, box = desk(), Outbox()
    drive(state, box, submit())
    drive(state, box, ack())
    (request,) = drive(state, box, CancelOrder(account="a", ts_ns=T0, order=oid()))
    step(state, report_of(request, outcome, T0))
    assert row(state).status == status


def test_retries_are_data() -> None:
    assert RETRIES["new"].delay_ms(1) is None
    assert [RETRIES["cancel"].delay_ms(n) for n in (1, 2, 3, 4)] == [100, 200, 400, None]
    assert RETRIES["query"].delay_ms(20) == 30_000
