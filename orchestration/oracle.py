"""Bars of lake ticks by our own batch function: a second opinion beside DuckDB, on the columns of the lake."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from trading.instruments import InstrumentTable
from trading.market.bars import BarColumns, bars_of
from trading.market.sessions import calendar

UNKNOWN_CALENDAR = "24/7"
DAY_US = 86_400_000_000
_COLUMNS = ("open", "high", "low", "close", "volume", "trades")


def batch_bars(instruments: InstrumentTable) -> Callable[[pa.Table], pa.Table]:
    """Return the function from lake ticks to bars in the form of `recompute.expected_bars`."""

    def bars(ticks: pa.Table) -> pa.Table:
        trades = ticks.filter(pc.equal(ticks["kind"], "trade")).combine_chunks()
        names = trades["instrument"].combine_chunks().dictionary_encode()
        ids = [str(name) for name in names.dictionary.to_pylist()]
        known = [instruments.get(id_) for id_ in ids]
        made = bars_of(
            names.indices.to_numpy(),
            trades["ts"].cast(pa.int64()).to_numpy() * 1_000,
            trades["price"].to_numpy(),
            trades["qty"].to_numpy(),
            calendars=[calendar(found.calendar if found else UNKNOWN_CALENDAR) for found in known],
            trade_id=trades["trade_id"].fill_null(0).to_numpy(),
        )
        parts = [_table(interval, columns, ids) for interval, columns in made.items()]
        return pa.concat_tables(parts)

    return bars


def _table(interval: str, columns: BarColumns, ids: list[str]) -> pa.Table:
    # The daily bar is compared by its session date, wherever its midnight lies.
    slot = columns.session.astype("int64") * DAY_US if interval == "1d" else columns.start_ns // 1_000
    return pa.table(
        {
            "instrument": pa.array(ids, pa.string()).take(pa.array(columns.instrument)),
            "interval": pa.array([interval] * len(columns), pa.string()),
            "slot": pa.array(slot, pa.int64()),
            **{name: pa.array(getattr(columns, name)) for name in _COLUMNS},
            "src_offset": pa.nulls(len(columns), pa.int64()),
        }
    )
