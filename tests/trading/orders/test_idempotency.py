"""Ids are pure functions; digests tell bodies apart."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.trading.orders.builders import desk, market, row, step, submit
from trading.orders.drafts import draft_of_submit
from trading.orders.idempotency import draft_digest, intent_digest, order_id, recall, remember, request_id, trade_key
from trading.risk.context import Draft


def body(**changes: Any) -> str:
    draft = draft_of_submit(submit(**changes), market())
    assert isinstance(draft, Draft)
    return draft_digest(draft, None, "")


def test_ids_are_stable() -> None:
    assert order_id("a", "c1") == order_id("a", "c1") != order_id("b", "c1")
    assert request_id("o", "new") == "o-new"
    assert request_id("o", "cancel", 2) == "o-cancel-2"


@given(st.text(), st.text(), st.text(), st.text())
def test_a_venue_cannot_forge_anothers_trade(venue: str, trade: str, other: str, other_trade: str) -> None:
    if "\x1f" not in venue + other and (venue, trade) != (other, other_trade):
        assert trade_key(venue, trade) != trade_key(other, other_trade)


def test_a_digest_compares_amounts_as_numbers_and_leaves_time_out() -> None:
    assert body(qty="10") == body(qty="10.0") == body(ts_ns=1)
    bodies = [{}, {"qty": "11"}, {"side": "sell"}, {"limit_price": "98"}, {"tif": "day"}, {"strategy": "s"}]
    assert len({body(**change) for change in bodies}) == len(bodies)
    state = desk()
    step(state, submit())
    assert intent_digest(row(state).intent) == body()


def test_what_is_remembered_is_small_and_comes_back() -> None:
    what = remember(body(), b"MAX_POSITION")
    assert recall(what) == (body(), "MAX_POSITION")
    assert len(what) < 32
