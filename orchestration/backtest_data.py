"""Recorded market data for a backtest: bars or trades of one instrument from a Parquet file, or clean bars of the lake.

Prices are rounded to the instrument's scale as the normaliser does it. A symbol that the catalogue does not know gets
an instrument of its own, named FILE, with six decimals.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orchestration.lake_io import LakeIO
from trading.backtest.series import BarSeries
from trading.instruments import Instrument, InstrumentTable
from trading.market.bars import bars_of
from trading.market.batches import Array
from trading.market.intervals import DAY, NAMES, SECONDS
from trading.market.rounding import to_integers
from trading.market.sessions import Calendar, calendar
from trading.schemas import CLEAN_BARS_V1
from trading.strategies.rows import Bar, Tick

LAKE = "lake"
SECOND_NS = 10**9
DAY_NS = SECONDS[DAY] * SECOND_NS
PRICES = ("open", "high", "low", "close")
TRADE_COLUMNS = ("ts", "price", "qty")
# A jump from one close to the next open beyond this is more often a split than a price.
SPLIT_JUMP = 0.4
PART_ROWS = 50_000


class DataError(ValueError):
    """Data that no backtest can use. `code` is stable, `hint` says what to do."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Trades:
    """Trades of one instrument in order of (ts, trade id), int64 in its scale."""

    ts_ns: Array
    price: Array
    qty: Array
    trade_id: Array

    def __len__(self) -> int:
        return len(self.ts_ns)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was found: bars always, the trades they were made of where the file holds trades."""

    instrument: Instrument
    bars: BarSeries
    trades: Trades | None
    warnings: tuple[str, ...]

    def messages(self) -> Iterator[Tick | Bar]:
        """Yield the trades, and each bar when it is over, in the order that they became known."""
        assert self.trades is not None, "a run over ticks needs trades"
        name, trades, bars = self.instrument.id, self.trades, self.bars.rows()
        bar = next(bars, None)
        for first in range(0, len(trades), PART_ROWS):
            columns = (trades.ts_ns, trades.price, trades.qty, trades.trade_id)
            part = [column[first : first + PART_ROWS].tolist() for column in columns]
            for ts_ns, price, qty, trade_id in zip(*part, strict=True):
                while bar is not None and bar.ts_ns <= ts_ns:
                    yield bar
                    bar = next(bars, None)
                yield Tick(name, ts_ns, price, qty, trade_id)
        while bar is not None:
            yield bar
            bar = next(bars, None)


def load(source: str, symbol: str | None, interval: str, table: InstrumentTable, lake: LakeIO | None) -> Recorded:
    """Return the data of `source`, a Parquet file or `lake`; raise `DataError`. `interval` is of ticks and the lake."""
    if source == LAKE:
        assert lake is not None, "the lake is opened by the caller"
        return _of_lake(lake, symbol, interval, table)
    found = read_parquet(source)
    names = set(found.column_names)
    if {*PRICES, "volume"} <= names:
        rows, instrument = _of_symbol(found, symbol, table)
        return _recorded(instrument, _series(rows, instrument, _length_s(rows)), None)
    if set(TRADE_COLUMNS) <= names:
        rows, instrument = _of_symbol(found, symbol, table)
        trades = _trades(rows, instrument)
        return _recorded(instrument, _bars_of(trades, instrument, interval), trades)
    raise DataError(
        "DATA_COLUMNS_MISSING",
        f"{source} holds neither bars ({', '.join(PRICES)}, volume) nor trades ({', '.join(TRADE_COLUMNS)})",
        f"its columns are {', '.join(sorted(names))}",
    )


def read_parquet(source: str) -> pa.Table:
    """Return a Parquet file; raise `DataError` DATA_MISSING or DATA_UNREADABLE."""
    path = Path(source)
    if not path.is_file():
        raise DataError("DATA_MISSING", f"there is no file {path}", "give a Parquet file, or lake")
    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError("DATA_UNREADABLE", f"{path} cannot be read: {error}", "give a Parquet file") from None


def _of_symbol(found: pa.Table, symbol: str | None, table: InstrumentTable) -> tuple[pa.Table, Instrument]:
    known = sorted(pc.unique(found["symbol"]).to_pylist()) if "symbol" in found.column_names else []
    wanted = symbol.partition(".")[0] if symbol else None
    if wanted is None:
        if len(known) != 1:
            raise DataError("SYMBOL_NEEDED", "the file holds more than one symbol", f"--symbol {'|'.join(known[:10])}")
        wanted = known[0]
    if known:
        if wanted not in known:
            raise DataError("SYMBOL_UNKNOWN", f"the file does not hold {wanted}", f"it holds {', '.join(known[:10])}")
        found = found.filter(pc.equal(found["symbol"], wanted))
    return found, _instrument(symbol or wanted, table)


def _instrument(symbol: str, table: InstrumentTable) -> Instrument:
    found = [one for one in table if symbol in (one.id, one.symbol)]
    return found[0] if found else Instrument(symbol=symbol.partition(".")[0], venue="FILE", price_scale=6, qty_scale=0)


def _length_s(rows: pa.Table) -> int:
    if "date" in rows.column_names and "ts" not in rows.column_names:
        return SECONDS[DAY]
    gaps = np.diff(np.sort(nanoseconds(rows["ts"])))
    gaps = gaps[gaps > 0]
    return int(gaps.min()) // SECOND_NS if len(gaps) else SECONDS[0]


def _series(rows: pa.Table, instrument: Instrument, length_s: int) -> BarSeries:
    sessions = calendar(instrument.calendar)
    if "ts" in rows.column_names:
        start = nanoseconds(rows["ts"])
        end = start + length_s * SECOND_NS
        if length_s == SECONDS[DAY]:
            end = sessions.midnights_ns(sessions.local_dates(start) + 1)
    else:
        start, end = _hours(rows["date"].cast(pa.int32()).to_numpy(), sessions)
    order = np.argsort(start, kind="stable")
    columns = {name: scaled(rows[name], instrument.price_scale)[order] for name in PRICES}
    volume = scaled(rows["volume"], instrument.qty_scale)[order]
    return BarSeries(instrument=instrument.id, start_ns=start[order], ts_ns=end[order], volume=volume, **columns)


def _hours(dates: Array, sessions: Calendar) -> tuple[Array, Array]:
    """Return open and close of each date's session; midnight to midnight on a date without one."""
    hours = [
        sessions.hours_ns(date) or (sessions.midnight_ns(date), sessions.midnight_ns(date + 1))
        for date in dates.tolist()
    ]
    table = np.array(hours, np.int64).reshape(-1, 2)
    return table[:, 0].copy(), table[:, 1].copy()


def _trades(rows: pa.Table, instrument: Instrument) -> Trades:
    if "suspicious" in rows.column_names:
        rows = rows.filter(pc.invert(rows["suspicious"]))
    ts_ns = nanoseconds(rows["ts"])
    price, qty = scaled(rows["price"], instrument.price_scale), scaled(rows["qty"], instrument.qty_scale)
    has_id = "trade_id" in rows.column_names
    trade_id = rows["trade_id"].cast(pa.int64()).to_numpy() if has_id else np.arange(len(ts_ns), dtype=np.int64)
    sound = (price > 0) & (qty > 0)
    order = np.lexsort((trade_id, ts_ns))
    order = order[sound[order]]
    return Trades(ts_ns[order], price[order], qty[order], trade_id[order])


def _bars_of(trades: Trades, instrument: Instrument, interval: str) -> BarSeries:
    sessions = calendar(instrument.calendar)
    one = np.zeros(len(trades), np.int32)
    made = bars_of(
        one,
        trades.ts_ns,
        trades.price,
        trades.qty,
        calendars=[sessions],
        trade_id=trades.trade_id,
        intervals=[interval],
    )[interval]
    length_s = SECONDS[NAMES.index(interval)]
    end = made.start_ns + length_s * SECOND_NS
    if length_s == SECONDS[DAY]:
        end = sessions.midnights_ns(made.session + 1)
    columns = {name: np.ascontiguousarray(getattr(made, name)) for name in (*PRICES, "volume")}
    return BarSeries(instrument=instrument.id, start_ns=np.ascontiguousarray(made.start_ns), ts_ns=end, **columns)


def _of_lake(lake: LakeIO, symbol: str | None, interval: str, table: InstrumentTable) -> Recorded:
    days = lake.rows_by_date(CLEAN_BARS_V1)
    if not days:
        raise DataError("DATA_MISSING", "the lake holds no clean bars", "run `trade up`, or materialise clean_bars_v1")
    parts = []
    for day in days:
        rows = lake.read(CLEAN_BARS_V1, day)
        rows = rows.filter(pc.and_(pc.equal(rows["interval"], interval), pc.is_valid(rows["close"])))
        parts.append(rows.select(["ts", "instrument", *PRICES, "volume"]))
    found = pa.concat_tables(parts)
    known = sorted(pc.unique(found["instrument"]).to_pylist())
    chosen = [name for name in known if symbol in (None, name, name.partition(".")[0])]
    if len(chosen) != 1:
        code = "SYMBOL_NEEDED" if len(chosen) > 1 or symbol is None else "SYMBOL_UNKNOWN"
        raise DataError(
            code, f"the lake holds {interval} bars of {', '.join(known) or 'nothing'}", "--symbol names one"
        )
    instrument = table.get(chosen[0])
    if instrument is None:
        raise DataError("INSTRUMENT_UNKNOWN", f"{chosen[0]} is not configured", "add it to the instruments")
    rows = found.filter(pc.equal(found["instrument"], chosen[0]))
    return _recorded(instrument, _series(rows, instrument, SECONDS[NAMES.index(interval)]), None)


def _recorded(instrument: Instrument, bars: BarSeries, trades: Trades | None) -> Recorded:
    jumps = np.flatnonzero(np.abs(bars.open[1:] / bars.close[:-1] - 1) > SPLIT_JUMP)
    warnings = tuple(
        f"the price jumps from {bars.close[at] / 10**instrument.price_scale:g} to "
        f"{bars.open[at + 1] / 10**instrument.price_scale:g} on {_day(bars.start_ns[at + 1])}: "
        "a split that the data does not adjust for?"
        for at in jumps.tolist()
    )
    return Recorded(instrument, bars, trades, warnings)


def _day(ts_ns: Any) -> str:
    return str(np.datetime64(int(ts_ns), "ns").astype("datetime64[D]"))


def nanoseconds(column: pa.ChunkedArray) -> Array:
    """Return times as int64 ns UTC."""
    return np.asarray(column.cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_numpy())


def scaled(column: pa.ChunkedArray, scale: int) -> Array:
    """Return amounts as integers of 10**-scale; far below zero where there is none."""
    return to_integers(column.cast(pa.float64()).to_numpy(), 10.0**scale)
