"""Drafts: exact amounts, and the end of an order. The table of refusals is in test_oms."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.trading.orders.builders import T0, XYZ, S, market, submit
from trading.orders.drafts import Malformed, draft_of_submit, expiry_of
from trading.risk.context import Draft


def made(**changes: Any) -> Draft:
    draft = draft_of_submit(submit(**changes), market())
    assert isinstance(draft, Draft)
    return draft


def test_amounts_are_integers_of_the_instruments_scale() -> None:
    draft = made(instrument="ABC.SIM", qty="0.5", limit_price="99.01", side="sell")
    assert (draft.qty, draft.limit_price, draft.side) == (5 * 10**7, 990_100, -1)


def test_the_earliest_end_counts() -> None:
    assert expiry_of(made(), None, "24/7", 0, market()) is None
    assert expiry_of(made(), None, "24/7", S, market()) == T0 + S
    assert expiry_of(made(tif="gtd", expire_ts_ns=T0 + 9), T0 + 9, "24/7", S, market()) == T0 + 9
    assert expiry_of(made(tif="day"), None, "XNYS", 0, market()) == T0 + 3_600 * S
    assert isinstance(expiry_of(made(tif="day"), None, "XLON", 0, market()), Malformed)


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=140))
def test_no_text_raises(qty: str, price: str, cid: str) -> None:
    answer = draft_of_submit(submit(cid, qty=qty, limit_price=price, instrument=XYZ.id), market())
    assert isinstance(answer, Malformed) or (answer.qty > 0 and (answer.limit_price or 0) > 0)
