"""The book of the paper venue beside a list that is searched from one end to the other."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.trading.orders.builders import T0, desk, step, submit
from trading.events import OrderAccepted
from trading.routing.book import Book, PaperOrder

PRICES = st.integers(95, 105)
SHAPES = st.tuples(st.sampled_from(("market", "limit", "stop", "stop_limit")), st.sampled_from((1, -1)), PRICES, PRICES)
STEPS = st.lists(st.one_of(SHAPES, st.tuples(st.sampled_from(("remove", "trigger")), st.integers(0, 20))), max_size=30)
TOUCH = st.none() | PRICES


def order(number: int, kind: str, side: int, limit: int, stop: int) -> PaperOrder:
    """Return an order as the venue holds it when it arrives."""
    intent = next(e for e in step(desk(), submit(f"c{number}", type="market")) if isinstance(e, OrderAccepted))
    wanted: dict[str, Any] = {"limit_price": None, "stop_price": None}
    if kind in ("limit", "stop_limit"):
        wanted["limit_price"] = limit
    if kind in ("stop", "stop_limit"):
        wanted["stop_price"] = stop
    intent = OrderAccepted(**{**{f: getattr(intent, f) for f in intent.__struct_fields__}, **wanted, "ts_ns": T0})
    return PaperOrder(intent, side, number, triggered=intent.stop_price is None)


def is_reached(one: PaperOrder, price: int | None) -> bool:
    """Say the same as the book does, of one order."""
    limit, stop = one.intent.limit_price, one.intent.stop_price
    if one.triggered and limit is None:
        return True
    if price is None:
        return False
    if one.triggered:
        assert limit is not None
        return one.side * (limit - price) >= 0
    assert stop is not None
    return one.side * (price - stop) >= 0


@given(steps=STEPS, ask=TOUCH, bid=TOUCH)
def test_whoever_a_price_reaches_comes_in_the_order_of_entry(
    steps: list[tuple[Any, ...]], ask: int | None, bid: int | None
) -> None:
    book, plain = Book(), list[PaperOrder]()
    for number, (what, *rest) in enumerate(steps):
        if what == "remove" and plain:
            book.remove(plain.pop(rest[0] % len(plain)))
        elif what == "trigger":
            waiting = [one for one in plain if not one.triggered]
            if waiting:
                book.trigger(waiting[rest[0] % len(waiting)])
        elif what not in ("remove", "trigger"):
            made = order(number, what, *rest)
            book.add(made)
            plain.append(made)
    assert list(book.values()) == plain
    assert len(book) == len(plain)
    assert book.reached(ask, bid) == [one for one in plain if is_reached(one, ask if one.side > 0 else bid)]


def test_an_order_that_is_not_here_is_let_go_silently() -> None:
    book = Book()
    book.remove(order(1, "limit", 1, 100, 100))
    assert len(book) == 0
