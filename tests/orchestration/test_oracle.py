"""The batch function, fed from lake columns, gives the bars that DuckDB gives."""

from datetime import UTC, datetime

import pyarrow as pa

from orchestration.oracle import batch_bars
from orchestration.recompute import expected_bars
from tests.orchestration.lakes import table_of, ticks
from trading.instruments import CATALOGUE
from trading.schemas import TICKS_V1

NAMES = ["instrument", "interval", "slot", "open", "high", "low", "close", "volume", "trades"]


def _sorted(table: pa.Table) -> list[dict[str, object]]:
    rows = table.select(NAMES).to_pylist()
    return sorted(rows, key=lambda row: (row["instrument"], row["interval"], row["slot"]))


def test_both_oracles_agree() -> None:
    rows = table_of(TICKS_V1, ticks())
    assert _sorted(batch_bars(CATALOGUE)(rows)) == _sorted(expected_bars(rows))


def test_sessions_of_an_exchange_are_its_own() -> None:
    evening = datetime(2013, 10, 7, 23, 30, tzinfo=UTC)
    rows = table_of(
        TICKS_V1, [ticks()[0] | {"instrument": "SPY.US", "ts": evening, "date": evening.date(), "kind": "trade"}]
    )
    daily = [row for row in batch_bars(CATALOGUE)(rows).to_pylist() if row["interval"] == "1d"]
    assert [row["slot"] for row in daily] == [int(datetime(2013, 10, 7, tzinfo=UTC).timestamp()) * 1_000_000]


def test_an_instrument_that_is_not_in_the_table_trades_all_day() -> None:
    rows = table_of(TICKS_V1, [row | {"instrument": "NEW.SIM"} for row in ticks()])
    assert _sorted(batch_bars(CATALOGUE)(rows)) == _sorted(expected_bars(rows))


def test_no_ticks_give_no_bars() -> None:
    assert batch_bars(CATALOGUE)(table_of(TICKS_V1, [])).num_rows == 0
