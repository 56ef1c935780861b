"""The market view: immutable, and honest about what it does not know."""

import pytest

from tests.trading.orders.builders import MODEL, NAMES, T0, TABLE, XYZ, S, market, model
from trading.risk.market import DAY_NS, MarketView, Quote, quote


def test_a_change_makes_the_next_version_and_leaves_the_old_alone() -> None:
    first = market()
    second = first.with_quotes({XYZ.id: Quote(5, T0)})
    assert (first.quotes[XYZ.id].mark, second.quotes[XYZ.id].mark) == (10_000, 5)
    assert second.version == first.version + 1
    assert second.with_model(model(NAMES, version=2)).model is not MODEL
    assert second.with_closes({}).closes == {}


@pytest.mark.parametrize(
    ("bid", "ask", "last", "mark"),
    [(9, 12, 5, 10), (9, None, 5, 5), (None, None, 5, 5), (12, 9, 5, 5), (12, 9, None, None), (0, 9, None, None)],
)
def test_marks(bid: int | None, ask: int | None, last: int | None, mark: int | None) -> None:
    made = quote(T0, bid, ask, last)
    assert (None if made is None else made.mark) == mark


def test_the_end_of_the_day() -> None:
    view = MarketView(TABLE, closes={"XNYS": T0 + S})
    assert view.day_end_ns("24/7", T0) == T0 - T0 % DAY_NS + DAY_NS
    assert view.day_end_ns("XNYS", T0) == T0 + S
    assert view.day_end_ns("XNYS", T0 + S) is None
    assert view.day_end_ns("XLON", T0) is None
