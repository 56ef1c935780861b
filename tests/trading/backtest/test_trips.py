from hypothesis import given
from hypothesis import strategies as st

from trading.backtest.trips import round_trips
from trading.commands import Side
from trading.events import OrderFilled


def fill(ts_ns: int, qty: int, price: int, fee: int = 0) -> OrderFilled:
    side: Side = "buy" if qty > 0 else "sell"
    trade = f"t{ts_ns}"
    return OrderFilled(
        "a", ts_ns, "o", "XYZ.SIM", side, "PAPER", trade, abs(qty), price, qty * price, fee, "partially_filled"
    )


def test_from_flat_to_flat_after_fees() -> None:
    trips = round_trips([fill(1, 10, 100, 5), fill(2, 5, 110, 5), fill(3, -15, 120, 10)])
    assert [(t.side, t.qty, t.opened_ns, t.closed_ns, t.pnl) for t in trips] == [(1, 15, 1, 3, 1_800 - 1_550 - 20)]


def test_a_short_trip_and_an_open_one() -> None:
    trips = round_trips([fill(1, -10, 100), fill(2, 10, 90), fill(3, 10, 95)])
    assert [(t.side, t.qty, t.pnl) for t in trips] == [(-1, 10, 100)]


def test_a_fill_through_zero_closes_one_trip_and_opens_the_next() -> None:
    trips = round_trips([fill(1, 10, 100), fill(2, -30, 110, 30), fill(3, 20, 100)])
    assert [(t.side, t.qty, t.opened_ns, t.closed_ns, t.pnl) for t in trips] == [(1, 10, 1, 2, 90), (-1, 20, 2, 3, 180)]


fills = st.lists(st.tuples(st.integers(-20, 20).filter(bool), st.integers(1, 500), st.integers(0, 50)), max_size=30)


@given(fills)
def test_when_all_is_closed_the_trips_earn_what_the_cash_shows(rows: list[tuple[int, int, int]]) -> None:
    made = [fill(n, *row) for n, row in enumerate(rows)]
    open_qty = sum(row[0] for row in rows)
    if open_qty:
        made.append(fill(len(made), -open_qty, 100))
    cash = -sum(each.cost + each.fee for each in made)
    trips = round_trips(made)
    assert sum(trip.pnl for trip in trips) == cash
    assert all(trip.qty > 0 and trip.closed_ns >= trip.opened_ns for trip in trips)
