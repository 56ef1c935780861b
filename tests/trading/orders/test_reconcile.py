"""Reconciliation: one pass mends what can be mended, in any order, and finds the same ids again."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.orders.builders import T0, XYZ, S, ack, desk, fill, oid, row, step, submit
from trading.commands import VenueFill, VenueUnknown
from trading.orders.reconcile import GRACE_NS, VenueOrder, VenueView, reconcile
from trading.orders.state import State
from trading.orders.transitions import WAITING

LATER = T0 + GRACE_NS + S
Past = tuple[str, int, str, int]


def mend(state: State, view: VenueView) -> list[str]:
    differences = reconcile(state, "a", view, LATER)
    for difference in differences:
        if difference.fix is not None:
            step(state, difference.fix)
    return [difference.code for difference in differences]


past: Any = st.tuples(
    st.sampled_from(["pending", "acked", "unknown"]),
    st.integers(0, 10),
    st.sampled_from(["new", "canceled", "expired", "rejected", "absent"]),
    st.integers(0, 10),
)


def world(histories: list[Past]) -> tuple[State, list[VenueOrder], list[VenueFill]]:
    state, orders, fills = desk(), [], []
    for n, (known, ours, status, more) in enumerate(histories):
        cid = f"c{n}"
        step(state, submit(cid))
        if known == "acked":
            step(state, ack(cid))
        elif known == "unknown":
            step(state, VenueUnknown(account="a", ts_ns=T0, order=oid(cid)))
        if ours:
            fills.append(fill(f"t{n}", cid, qty=str(ours)))
            step(state, fills[-1])
        theirs = min(10, ours + more)
        if theirs > ours:
            fills.append(fill(f"u{n}", cid, qty=str(theirs - ours)))
        if status != "absent":
            shown: Any = "filled" if theirs == 10 else status
            orders.append(VenueOrder(order=oid(cid), instrument=XYZ.id, status=shown, filled_qty=theirs))
    return state, orders, fills


@settings(max_examples=60, deadline=None)
@given(st.lists(past, max_size=6), st.randoms(use_true_random=False))
def test_one_pass_is_enough_whatever_the_order(histories: list[Past], random: Any) -> None:
    state, orders, fills = world(histories)
    again, _, _ = world(histories)
    total = sum(int(fill.qty) for fill in fills)
    view = VenueView(venue="SIM", orders=tuple(orders), fills=tuple(fills), positions={XYZ.id: total})
    shuffled_orders, shuffled_fills = list(orders), list(fills)
    random.shuffle(shuffled_orders)
    random.shuffle(shuffled_fills)
    shuffled = VenueView(
        venue="SIM", orders=tuple(shuffled_orders), fills=tuple(shuffled_fills), positions={XYZ.id: total}
    )
    first, second = reconcile(state, "a", view, LATER), reconcile(again, "a", shuffled, LATER)
    assert [difference.id for difference in first] == [difference.id for difference in second]
    mend(state, view)
    assert mend(state, view) == []
    holdings = state.accounts["a"].exposure.holdings
    assert (holdings[XYZ.id].qty if holdings else 0) == total
    assert not [order for order in state.orders.values() if order.status in WAITING]


def test_what_nobody_can_mend_is_noted_with_the_same_id() -> None:
    state = desk()
    view = VenueView(
        venue="SIM",
        orders=(VenueOrder(order="stranger", instrument=XYZ.id, status="new"),),
        positions={XYZ.id: 5},
    )
    first = reconcile(state, "a", view, LATER)
    assert [difference.code for difference in first] == ["ORDER_EXTERNAL", "POSITION_DIFFERS"]
    assert mend(state, view) == mend(state, view) == ["ORDER_EXTERNAL", "POSITION_DIFFERS"]
    assert [d.id for d in first] == [d.id for d in reconcile(state, "a", view, LATER + S)]


def test_an_order_that_was_just_sent_is_left_alone() -> None:
    state = desk()
    step(state, submit())
    assert reconcile(state, "a", VenueView(venue="SIM"), T0 + S) == []
    assert mend(state, VenueView(venue="SIM")) == ["ORDER_NEVER_ARRIVED"]
    assert row(state).status == "rejected"


def test_an_order_that_ended_here_and_works_there_and_hidden_fills_are_noted() -> None:
    state = desk()
    step(state, submit())
    step(state, fill())
    works = VenueOrder(order=oid(), instrument=XYZ.id, status="new", filled_qty=10)
    view = VenueView(venue="SIM", orders=(works,), positions={XYZ.id: 10})
    assert mend(state, view) == ["ORDER_STILL_WORKS"]
    hidden = VenueOrder(order=oid(), instrument=XYZ.id, status="filled", filled_qty=12)
    view = VenueView(venue="SIM", orders=(hidden,), positions={XYZ.id: 10})
    assert mend(state, view) == ["FILLS_NOT_LISTED"]


def test_an_execution_of_a_stranger_is_put_aside_once() -> None:
    state = desk()
    view = VenueView(venue="SIM", fills=(fill("x", "nobody"),))
    assert mend(state, view) == ["FILL_UNKNOWN"]
    assert mend(state, view) == []
