"""A day of real trades and quotes through the normaliser, against DuckDB over the same file."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from trading.instruments import CATALOGUE
from trading.market.bars import bars_of
from trading.market.batches import ABSENT, MAX_ROWS, QUOTE, TRADE, RawBatch
from trading.market.normalize import Normalizer
from trading.market.policy import MarketPolicy
from trading.market.sessions import calendar
from trading.messages import Source

DAY_NS = 86_400_000_000_000
SCALE = 10_000
BARS = f"""
select symbol || '.US', start,
       cast(round(arg_min(price, (ts, trade_id)) * {SCALE}) as bigint), cast(round(max(price) * {SCALE}) as bigint),
       cast(round(min(price) * {SCALE}) as bigint), cast(round(arg_max(price, (ts, trade_id)) * {SCALE}) as bigint),
       cast(sum(qty) as bigint), count(*)
from (select *, {{start}} as start from read_parquet('{{file}}')) group by all order by all
"""
MINUTE_START = "epoch_ns(ts) // 60000000000 * 60000000000"
# The date on New York's clock that day was four hours behind UTC.
DAY_START = "epoch_ns(date_trunc('day', ts at time zone 'UTC' - interval 4 hour)) + 14400000000000"


def rows_of(query: str) -> list[Any]:
    """Return a query's rows."""
    rows: list[Any] = duckdb.connect().execute(query).fetchall()
    return rows


def columns_of(file: Path, query: str) -> dict[str, Any]:
    """Return a query's columns as numpy arrays."""
    columns: dict[str, Any] = duckdb.connect().execute(query.format(file=file)).fetchnumpy()
    return columns


def dictionary(values: Any) -> tuple[list[str], Any]:
    names, codes = np.unique(np.asarray(values, str), return_inverse=True)
    return names.tolist(), codes.astype(np.int16)


def _rows(texts: dict[str, Any], rows: slice) -> dict[str, Any]:
    return {name: (names, codes[rows]) for name, (names, codes) in texts.items()}


def frames(columns: dict[str, Any], kind: int) -> Iterator[bytes]:
    """Yield the rows as frames of 1,000, and the last empty one."""
    count = len(columns["ts"])
    nothing = np.full(count, np.nan)
    floats: Any = {
        name: np.asarray(columns.get(name, nothing), np.float64)
        for name in ("price", "qty", "bid", "bid_qty", "ask", "ask_qty")
    }
    texts: Any = {
        name: dictionary(columns.get(name, np.full(count, ""))) for name in ("symbol", "exchange", "condition")
    }
    ids = np.asarray(columns.get("trade_id", np.full(count, ABSENT)), np.int64)
    suspicious = np.asarray(columns["suspicious"], np.uint8)
    newest = 0
    for seq, at in enumerate(range(0, count + MAX_ROWS, MAX_ROWS)):
        rows = slice(at, at + MAX_ROWS)
        ts = np.asarray(columns["ts"][rows], np.int64)
        newest = max(newest, int(ts.max(initial=0)))
        yield RawBatch(
            kind=np.full(len(ts), kind, np.uint8),
            ts_ns=ts,
            trade_id=ids[rows],
            suspicious=suspicious[rows],
            feed="replay",
            venue="US",
            seq=seq,
            clock_ns=newest,
            recv_ns=newest,
            eof=not len(ts),
            **{name: column[rows] for name, column in floats.items()},
            **_rows(texts, rows),
        ).encode()


def test_a_day_of_trades_gives_the_bars_that_duckdb_computes(shared_data: Callable[[str], Path]) -> None:
    file = shared_data("us_equity_trades_20131007.parquet")
    query = "select * replace (epoch_ns(ts) as ts) from read_parquet('{file}') order by trade_id"
    normalizer = Normalizer(CATALOGUE, MarketPolicy(), 2)
    found: dict[int, list[tuple[Any, ...]]] = {60: [], 86_400: []}
    columns = columns_of(file, query)
    for offset, payload in enumerate(frames(columns, TRADE)):
        out = normalizer.apply(payload, Source(0, offset))
        assert out.dead is None
        for batch in out.bars.values():
            assert (batch.revision == 0).all()
            values = (batch.start_ns, batch.open, batch.high, batch.low, batch.close, batch.volume, batch.trades)
            for row in range(len(batch)):
                name = batch.instrument[0][int(batch.instrument[1][row])]
                found.get(int(batch.interval_s[row]), []).append((name, *(int(column[row]) for column in values)))
    assert sorted(found[60]) == rows_of(BARS.format(file=file, start=MINUTE_START))
    assert sorted(found[86_400]) == rows_of(BARS.format(file=file, start=DAY_START))
    totals = normalizer.totals
    assert (totals.ticks_in, totals.ticks_out, totals.rejected, totals.duplicates) == (388_417, 388_417, 0, 0)
    names, codes = dictionary(columns["symbol"])
    whole = bars_of(
        codes.astype(np.int32),
        columns["ts"],
        np.rint(columns["price"] * SCALE).astype(np.int64),
        columns["qty"].astype(np.int64),
        trade_id=columns["trade_id"].astype(np.int64),
        calendars=[calendar("XNYS")] * len(names),
    )["1m"]
    parts = (whole.start_ns, whole.open, whole.high, whole.low, whole.close, whole.volume, whole.trades)
    assert [
        (f"{names[int(whole.instrument[row])]}.US", *(int(part[row]) for part in parts)) for row in range(len(whole))
    ] == sorted(found[60])


def test_a_file_sent_twice_gives_nothing_new(shared_data: Callable[[str], Path]) -> None:
    query = "select * replace (epoch_ns(ts) as ts) from read_parquet('{file}') order by trade_id limit 20000"
    columns = columns_of(shared_data("us_equity_trades_20131007.parquet"), query)
    normalizer = Normalizer(CATALOGUE, MarketPolicy(), 2)
    for offset, payload in enumerate(frames(columns, TRADE)):
        normalizer.apply(payload, Source(0, offset))
    for offset, payload in enumerate(frames(columns, TRADE)):
        frame = RawBatch.decode(payload)
        frame.seq += 1_000
        out = normalizer.apply(frame.encode(), Source(0, 1_000 + offset))
        assert not out.ticks
        assert not out.bars
    assert normalizer.totals.duplicates == 20_000


@pytest.mark.parametrize("day", ["20131007", "20131008"])
def test_a_day_of_quotes_keeps_its_one_sided_rows(shared_data: Callable[[str], Path], day: str) -> None:
    file = shared_data(f"us_equity_quotes_{day}.parquet")
    columns = columns_of(file, "select * replace (epoch_ns(ts) as ts) from read_parquet('{file}') order by ts")
    normalizer = Normalizer(CATALOGUE, MarketPolicy(), 1)
    bids = asks = 0
    for offset, payload in enumerate(frames(columns, QUOTE)):
        out = normalizer.apply(payload, Source(0, offset))
        assert out.dead is None
        for ticks in out.ticks.values():
            bids += int((ticks.bid != ABSENT).sum())
            asks += int((ticks.ask != ABSENT).sum())
            assert (ticks.price == ABSENT).all()
        assert not out.bars
    assert normalizer.totals.ticks_out == len(columns["ts"])
    assert (bids, asks) == (int((columns["bid"] > 0).sum()), int((columns["ask"] > 0).sum()))
