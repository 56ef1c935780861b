"""How an order of ours looks in Alpaca's words, in every state it can be in."""

from typing import get_args

import msgspec
import pytest

from streaming.api.order_models import Order, ShownStatus, view
from streaming.api.symbols import SymbolBook
from tests.trading.orders.builders import TABLE, XYZ, ack, canceled, desk, fill, row, step, submit
from trading.orders.state import OrderRow
from trading.orders.transitions import STATUSES

BOOK = SymbolBook(TABLE, "SIM")


def order() -> OrderRow:
    state = desk("a")
    step(state, submit("c1"))
    step(state, ack("c1"))
    step(state, fill("t1", "c1", qty="3", price="98"))
    step(state, canceled("c1"))
    return row(state)


def test_a_partly_filled_and_cancelled_order() -> None:
    shown = view(order(), BOOK)
    assert (shown.status, shown.symbol, shown.qty, shown.filled_qty) == ("canceled", XYZ.symbol, "10", "3")
    assert (shown.filled_avg_price, shown.limit_price, shown.stop_price) == ("98", "99", None)
    assert shown.canceled_at is not None
    assert (shown.filled_at, shown.expired_at, shown.failed_at, shown.replaced_at) == (None, None, None, None)
    assert shown.submitted_at == shown.created_at == "2023-11-14T22:13:20.000000Z"


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_shows_as_one_that_clients_know(status: str) -> None:
    changed = order()
    changed.status = status  # type: ignore[assignment] # each literal in turn
    shown = view(changed, BOOK)
    assert shown.status in get_args(ShownStatus)
    assert shown.status == ("pending_new" if status == "unknown" else status)
    assert msgspec.json.decode(msgspec.json.encode(shown), type=Order) == shown


def test_what_a_predecessor_filled_is_not_shown_twice() -> None:
    changed = order()
    changed.inherited = 4
    assert view(changed, BOOK).qty == "6"
