"""A day is cleaned the same way each time, and what is left out is counted by another way."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.day import clean_bars, clean_ticks, prints, repeated_bars, repeated_ticks
from streaming.adapters.lake import arrow_schema
from tests.orchestration.lakes import bars, table_of, ticks
from trading.schemas import BARS_V1, CLEAN_BARS_V1, CLEAN_TICKS_V1, TICKS_V1

TICKS = ticks(minutes=3)
TICK_SCHEMA, BAR_SCHEMA = arrow_schema(CLEAN_TICKS_V1), arrow_schema(CLEAN_BARS_V1)


@settings(deadline=None, max_examples=20)
@given(copies=st.lists(st.integers(0, len(TICKS) - 1), max_size=20), seed=st.integers(0, 99))
def test_ticks_are_there_once_and_in_order_however_they_came(copies: list[int], seed: int) -> None:
    rows = [*TICKS, *(TICKS[index] for index in copies)]
    random.Random(seed).shuffle(rows)
    bronze = table_of(TICKS_V1, rows)
    clean = clean_ticks(bronze, TICK_SCHEMA)
    assert clean.table.equals(clean_ticks(table_of(TICKS_V1, TICKS), TICK_SCHEMA).table)
    assert clean.table.num_rows == len(TICKS)
    assert clean.dropped == repeated_ticks(bronze) == len(copies)


def test_a_print_that_came_twice_is_kept_from_its_first_source() -> None:
    first = next(row for row in TICKS if row["kind"] == "trade")
    bronze = table_of(TICKS_V1, [first | {"src_offset": 999, "price": 1.0}, *TICKS])
    clean = clean_ticks(bronze, TICK_SCHEMA)
    assert clean.dropped == repeated_ticks(bronze) == 1
    assert 1.0 not in clean.table["price"].to_pylist()


def test_the_order_is_instrument_time_and_trade_id() -> None:
    clean = clean_ticks(table_of(TICKS_V1, TICKS[::-1]), TICK_SCHEMA).table
    keys = [(r["instrument"], r["ts"]) for r in clean.select(["instrument", "ts"]).to_pylist()]
    assert keys == sorted(keys)
    assert prints(clean).num_rows == sum(row["kind"] == "trade" for row in TICKS)


def test_the_latest_revision_of_a_bar_wins() -> None:
    made = bars(TICKS)
    revised = made[0] | {"revision": 2, "close": 1.25, "src_offset": 500}
    older = made[0] | {"revision": 1, "close": 9.75, "src_offset": 400}
    bronze = table_of(BARS_V1, [revised, *made, older])
    clean = clean_bars(bronze, BAR_SCHEMA)
    assert clean.dropped == repeated_bars(bronze) == 2
    assert clean.table.num_rows == len(made)
    assert [row["close"] for row in clean.table.to_pylist() if row["revision"]] == [1.25]


def test_nothing_in_gives_nothing_with_the_right_columns() -> None:
    empty = table_of(TICKS_V1, [])
    assert clean_ticks(empty, TICK_SCHEMA).table.equals(TICK_SCHEMA.empty_table())
    assert repeated_ticks(empty) == repeated_bars(table_of(BARS_V1, [])) == 0
