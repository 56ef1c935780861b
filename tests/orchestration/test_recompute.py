"""Bars by DuckDB equal those made one trade at a time; verdicts are exact."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from orchestration.recompute import INTERVALS_S, compare, expected_bars
from tests.orchestration.lakes import DAY, bars, table_of, ticks
from trading.schemas import BARS_V1, TICKS_V1

TICKS = ticks()
BARS = bars(TICKS)
FIELDS = ("open", "high", "low", "close", "volume", "trades")


def _rows(table: pa.Table) -> set[tuple[Any, ...]]:
    names = ("instrument", "interval", "slot", *FIELDS)
    return {tuple(row[name] for name in names) for row in table.to_pylist()}


def test_all_intervals_equal_the_slow_way_whatever_the_order_of_rows() -> None:
    slow = {
        (b["instrument"], b["interval"], int(b["ts"].timestamp()) * 1_000_000, *(b[name] for name in FIELDS))
        for b in BARS
    }
    assert _rows(expected_bars(table_of(TICKS_V1, TICKS))) == slow
    assert _rows(expected_bars(table_of(TICKS_V1, TICKS[::-1]))) == slow
    assert {row[1] for row in slow} == set(INTERVALS_S)


def test_the_daily_bar_is_that_of_the_session_wherever_its_midnight_lies() -> None:
    late = TICKS[0] | {"ts": datetime(2024, 3, 6, 0, 30, tzinfo=UTC), "date": DAY}
    daily = [row for row in expected_bars(table_of(TICKS_V1, [late])).to_pylist() if row["interval"] == "1d"]
    assert [row["slot"] for row in daily] == [int(datetime(2024, 3, 5, tzinfo=UTC).timestamp()) * 1_000_000]
    moved = [bar | {"ts": datetime(2024, 3, 5, 5, tzinfo=UTC)} if bar["interval"] == "1d" else bar for bar in BARS]
    found = compare(
        expected_bars(table_of(TICKS_V1, TICKS)),
        table_of(TICKS_V1, TICKS),
        table_of(BARS_V1, moved),
        settled=True,
        closed=True,
    )
    assert (found.wrong, found.counts) == (0, {"equal": len(BARS)})


def test_mismatches_carry_both_sides() -> None:
    wrong = BARS[0] | {"close": 1.5}
    found = compare(
        expected_bars(table_of(TICKS_V1, TICKS)),
        table_of(TICKS_V1, TICKS),
        table_of(BARS_V1, [wrong, *BARS[1:]]),
        settled=True,
        closed=True,
    )
    (line,) = found.mismatches
    assert (line["verdict"], line["stored"][3], line["expected"][3]) == ("differs", 1.5, BARS[0]["close"])


def test_bars_that_never_came_are_missing_once_their_instrument_is_hours_ahead() -> None:
    last = max((tick for tick in TICKS if tick["kind"] == "trade"), key=lambda tick: tick["ts"])

    def verdicts(ahead: timedelta) -> dict[str, int]:
        stored = table_of(TICKS_V1, [*TICKS, last | {"ts": last["ts"] + ahead, "trade_id": 10**6}])
        return compare(expected_bars(stored), stored, table_of(BARS_V1, []), settled=True, closed=False).counts

    assert set(verdicts(timedelta(seconds=1))) == {"open"}
    own = [bar for bar in BARS if bar["instrument"] == last["instrument"] and bar["interval"] in ("1m", "5m", "15m")]
    assert verdicts(timedelta(hours=2))["missing"] >= len(own)


def test_a_feed_that_has_ended_closes_the_bars_of_its_venue_alone() -> None:
    stored = table_of(TICKS_V1, TICKS)
    venue = TICKS[0]["instrument"].rpartition(".")[2]

    def verdicts(ended: str) -> set[str]:
        none = table_of(BARS_V1, [])
        return set(compare(expected_bars(stored), stored, none, settled=True, closed=True, venue=ended).counts)

    assert verdicts("ELSEWHERE") == {"open"}
    assert verdicts(venue) == {"missing"}
