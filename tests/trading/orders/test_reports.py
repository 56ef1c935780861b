"""Reports of venues: late, repeated, contradictory."""

from typing import Any

import pytest

from tests.trading.orders.builders import T0, XYZ, ack, canceled, desk, fill, kinds, oid, row, step, submit
from trading.commands import (
    CancelOrder,
    ReplaceOrder,
    VenueExpired,
    VenueRejected,
    VenueReplaced,
    VenueState,
    VenueUnknown,
)
from trading.events import Alert, OrderFilled
from trading.orders.snapshot import state_hash
from trading.orders.state import State


def working(**limits: Any) -> State:
    state = desk(**limits)
    step(state, submit())
    step(state, ack())
    return state


def cancel(cid: str = "c1") -> CancelOrder:
    return CancelOrder(account="a", ts_ns=T0, order=oid(cid))


def report(type_: Any, **fields: Any) -> Any:
    return type_(**({"account": "a", "ts_ns": T0, "order": oid(), "venue": "SIM"} | fields))


def held(state: State) -> int:
    return state.accounts["a"].exposure.holdings[XYZ.id].buy_open


def test_a_fill_moves_position_cash_and_hold() -> None:
    state = working()
    (event,) = step(state, fill(qty="4", price="98.5", fee="0.01"))
    assert isinstance(event, OrderFilled)
    assert (event.cost, event.fee, event.to) == (394 * 10**9, 10**7, "partially_filled")
    account = state.accounts["a"].exposure
    holding = account.holdings[XYZ.id]
    assert (holding.qty, holding.cost, holding.buy_open) == (4, 394 * 10**9, 6)
    assert account.cash == 10**15 - 394 * 10**9 - 10**7
    step(state, fill("t2", qty="6"))
    assert (row(state).status, held(state), account.open_orders) == ("filled", 0, 0)


def test_a_fill_is_applied_once_and_the_first_content_wins() -> None:
    state = working()
    step(state, fill(qty="4"))
    before = state_hash(state)
    assert step(state, fill(qty="4")) == []
    assert kinds(step(state, fill(qty="5"))) == ["alert"]
    assert state_hash(state) == before


@pytest.mark.parametrize(
    "change",
    [{"cid": "nothing"}, {"side": "sell"}, {"instrument": "ABC.SIM"}, {"qty": "0"}, {"price": "x"}, {"account": "b"}],
)
def test_a_fill_that_fits_nothing_is_kept_aside(change: Any) -> None:
    state = working()
    before = state.accounts["a"].exposure.cash
    assert kinds(step(state, fill(**change))) == ["fill_quarantined", "alert"]
    assert state.accounts["a"].exposure.cash == before
    assert state.accounts["a"].exposure.holdings[XYZ.id].qty == 0


def test_a_fill_without_amounts_is_kept_aside_once() -> None:
    state = working()
    assert kinds(step(state, fill(price="x"))) == ["fill_quarantined", "alert"]
    assert step(state, fill(price="x")) == []
    assert kinds(step(state, fill(price="y"))) == ["alert"]
    assert kinds(step(state, fill())) == ["alert"]
    assert state.accounts["a"].quarantined == 1


def test_a_late_fill_is_applied_marked_and_moves_nothing() -> None:
    state = working()
    step(state, cancel())
    step(state, canceled())
    events = step(state, fill(qty="4"))
    assert kinds(events) == ["order_filled", "alert"]
    assert isinstance(events[0], OrderFilled)
    assert (events[0].late, events[0].to, row(state).status, row(state).filled) == (True, "canceled", "canceled", 4)
    assert (state.accounts["a"].exposure.holdings[XYZ.id].qty, held(state)) == (4, 0)


def test_an_overfill_is_recorded_flagged_and_halts_the_instrument() -> None:
    state = working()
    assert kinds(step(state, fill(qty="13"))) == ["order_filled", "alert", "mode_changed"]
    assert (row(state).filled, row(state).overfilled, row(state).status) == (10, 3, "filled")
    assert state.accounts["a"].exposure.holdings[XYZ.id].qty == 13
    assert kinds(step(state, submit("c2"))) == ["order_refused"]


def test_a_fill_may_come_before_the_acknowledgement() -> None:
    state = desk()
    step(state, submit())
    step(state, fill(qty="4"))
    assert row(state).status == "partially_filled"
    assert step(state, ack()) == []


def test_cancel_then_acknowledgement_then_cancel_is_done() -> None:
    state = desk()
    step(state, submit())
    step(state, cancel())
    assert step(state, cancel()) == []
    step(state, ack())
    assert (row(state).status, row(state).venue_order_id) == ("pending_cancel", "v-c1")
    step(state, fill(qty="4"))
    assert row(state).status == "pending_cancel"
    step(state, canceled())
    assert (row(state).status, held(state)) == ("canceled", 0)
    assert kinds(step(state, cancel())) == ["command_refused"]


def test_a_refused_cancel_gives_the_order_back() -> None:
    state = working()
    step(state, fill(qty="4"))
    step(state, cancel())
    step(state, report(VenueRejected, request="cancel", code="TOO_LATE"))
    assert row(state).status == "partially_filled"
    step(state, cancel())
    assert row(state).cancels == 2


def test_a_rejected_order_holds_nothing() -> None:
    state = desk()
    step(state, submit())
    step(state, report(VenueRejected, code="HALTED"))
    assert (row(state).status, row(state).reason, held(state)) == ("rejected", "HALTED", 0)


def test_the_rejection_of_a_working_order_is_an_alert() -> None:
    state = working()
    events = step(state, report(VenueRejected))
    assert isinstance(events[0], Alert)
    assert row(state).status == "new"


def test_an_unknown_outcome_keeps_the_exposure_until_it_is_resolved() -> None:
    state = desk()
    step(state, submit())
    step(state, report(VenueUnknown, reason="timeout"))
    assert (row(state).status, held(state)) == ("unknown", 10)
    step(state, report(VenueState, found=True, status="new", venue_order_id="v9"))
    assert (row(state).status, row(state).venue_order_id) == ("new", "v9")


def test_an_order_that_never_arrived_is_rejected() -> None:
    state = desk()
    step(state, submit())
    step(state, report(VenueUnknown))
    step(state, report(VenueState, found=False))
    assert (row(state).status, row(state).reason, held(state)) == ("rejected", "NEVER_ARRIVED", 0)


def test_a_cancel_of_an_unknown_order_waits_for_the_answer() -> None:
    state = desk()
    step(state, submit())
    step(state, report(VenueUnknown))
    step(state, cancel())
    assert row(state).status == "unknown"
    assert step(state, cancel()) == []
    step(state, report(VenueState, found=True, status="new"))
    assert row(state).status == "pending_cancel"


def test_a_cancel_without_an_answer_is_asked_again() -> None:
    state = working()
    step(state, cancel())
    step(state, report(VenueUnknown, request="cancel"))
    assert (row(state).status, held(state)) == ("unknown", 10)
    assert kinds(step(state, report(VenueState, found=True, status="new"))) == ["order_moved", "order_moved"]
    assert (row(state).status, row(state).cancels) == ("pending_cancel", 2)


def test_a_lost_order_and_missing_fills_stay_in_doubt() -> None:
    state = working()
    step(state, cancel())
    step(state, report(VenueUnknown, request="cancel"))
    assert kinds(step(state, report(VenueState, found=False))) == ["alert"]
    assert kinds(step(state, report(VenueState, found=True, status="filled", filled_qty="10"))) == ["alert"]
    assert row(state).status == "unknown"
    step(state, fill())
    assert row(state).status == "filled"


def test_a_replacement_without_an_answer_is_resolved_by_asking() -> None:
    for found in (True, False):
        state = working()
        step(state, ReplaceOrder(account="a", ts_ns=T0, order=oid(), client_order_id="c2", qty="12"))
        step(state, report(VenueUnknown, order=oid("c2"), request="replace"))
        status = "new" if found else ""
        step(state, report(VenueState, order=oid("c2"), found=found, status=status))
        wanted = ("replaced", "new", 12) if found else ("new", "rejected", 10)
        assert (row(state).status, row(state, "c2").status, held(state)) == wanted


def test_an_old_order_that_fills_or_ends_rejects_its_replacement() -> None:
    for last in (fill(), canceled(), report(VenueExpired)):
        state = working()
        step(state, ReplaceOrder(account="a", ts_ns=T0, order=oid(), client_order_id="c2", qty="12"))
        step(state, last)
        assert (row(state).ended, row(state, "c2").status, held(state)) == (True, "rejected", 0)


def test_a_fill_of_the_new_order_says_that_it_replaced_the_old_one() -> None:
    state = working()
    step(state, ReplaceOrder(account="a", ts_ns=T0, order=oid(), client_order_id="c2", qty="12"))
    step(state, fill("t1", "c2", qty="2"))
    assert (row(state).status, row(state, "c2").status, held(state)) == ("replaced", "partially_filled", 10)


def replacing(cid: str, qty: str) -> ReplaceOrder:
    return ReplaceOrder(account="a", ts_ns=T0, order=oid(), client_order_id=cid, qty=qty)


def test_a_doubt_that_ends_while_a_replacement_is_pending_leaves_it_pending() -> None:
    for last in (report(VenueState, found=True, status="new"), report(VenueState, found=True, status="held"), ack()):
        state = working()
        step(state, replacing("c2", "12"))
        step(state, report(VenueUnknown))
        step(state, last)
        assert (row(state).status, row(state, "c2").status) == ("pending_replace", "pending_new")
        step(state, report(VenueReplaced, new_order=oid("c2")))
        assert (row(state).status, row(state, "c2").status, held(state)) == ("replaced", "new", 12)


def test_a_cancel_that_is_refused_leaves_the_replacement_pending() -> None:
    state = working()
    step(state, replacing("c2", "12"))
    step(state, cancel())
    step(state, report(VenueRejected, request="cancel"))
    assert row(state).status == "pending_replace"


def test_a_repeated_refusal_of_one_replacement_does_not_hit_the_next() -> None:
    state = working()
    refused = report(VenueRejected, order=oid("c2"), request="replace", code="NO")
    step(state, replacing("c2", "12"))
    step(state, refused)
    step(state, replacing("c3", "13"))
    assert step(state, refused) == []
    step(state, report(VenueReplaced, new_order=oid("c3")))
    assert [row(state, cid).status for cid in ("c1", "c2", "c3")] == ["replaced", "rejected", "new"]


def test_a_repeated_replaced_leaves_the_next_replacement_pending() -> None:
    state = working()
    first = report(VenueReplaced, new_order=oid("c2"))
    step(state, replacing("c2", "12"))
    step(state, first)
    step(state, ReplaceOrder(account="a", ts_ns=T0, order=oid("c2"), client_order_id="c3", qty="13"))
    step(state, report(VenueUnknown, order=oid("c2")))
    step(state, first)
    assert [row(state, cid).status for cid in ("c2", "c3")] == ["pending_replace", "pending_new"]


def test_a_late_fill_of_a_replaced_order_fills_what_stands_in_its_place() -> None:
    for chain in (("c2",), ("c2", "c3")):
        state = working()
        for before, cid in zip(("c1", *chain), chain, strict=False):
            step(state, ReplaceOrder(account="a", ts_ns=T0, order=oid(before), client_order_id=cid, qty="9"))
            step(state, report(VenueReplaced, order=oid(before), new_order=oid(cid), venue_order_id=f"v-{cid}"))
        step(state, fill("t1", chain[-1], qty="4"))
        step(state, fill("t2", "c1", qty="5"))
        assert (row(state, chain[-1]).status, row(state, chain[-1]).leaves, held(state)) == ("filled", 0, 0)


def test_a_replacement_that_was_refused_and_works_is_an_alert() -> None:
    state = working()
    step(state, replacing("c2", "12"))
    step(state, report(VenueRejected, request="replace", code="NO"))
    (alert,) = step(state, report(VenueReplaced, new_order=oid("c2")))
    assert isinstance(alert, Alert)
    assert (alert.code, row(state).status) == ("REPLACE_UNEXPECTED", "new")


def test_the_acknowledgement_of_a_replacement_says_that_it_replaced_the_old_one() -> None:
    state = working()
    step(state, replacing("c2", "12"))
    step(state, ack("c2"))
    assert (row(state).status, row(state, "c2").status, held(state)) == ("replaced", "new", 12)


def test_an_execution_set_aside_that_comes_with_other_content_is_an_alert() -> None:
    state = working()
    step(state, fill(order="nothing"))
    assert step(state, fill(order="nothing")) == []
    assert kinds(step(state, fill(order="nothing", price="98"))) == ["alert"]
    step(state, fill("t2"))
    assert kinds(step(state, fill("t2", side="sell"))) == ["alert"]


def test_reports_of_orders_that_are_not_ours_change_nothing() -> None:
    state = working()
    before = state_hash(state)
    for type_, fields in ((VenueExpired, {}), (VenueRejected, {}), (VenueUnknown, {}), (VenueState, {"found": True})):
        assert kinds(step(state, report(type_, order="nothing", **fields))) == ["command_refused"]
        assert kinds(step(state, report(type_, account="b", **fields))) == ["command_refused"]
    assert state_hash(state) == before
