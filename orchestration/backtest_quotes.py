"""Recorded quotes for a backtest: the best bid and ask over all exchanges, from each exchange's own quotes.

A side that is 0 or null has not changed. Exchanges fall silent without a word: a side that a newer quote crosses is
taken for gone until its exchange quotes it again.
"""

from collections.abc import Iterator
from heapq import merge

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.backtest_data import DataError, Recorded, nanoseconds, read_parquet, scaled
from trading.strategies.rows import Bar, Tick

COLUMNS = ("ts", "symbol", "bid", "bid_qty", "ask", "ask_qty")
Side = tuple[int, int]


def with_quotes(recorded: Recorded, source: str) -> Iterator[Tick | Bar]:
    """Return the messages of trades merged with the best quotes of a Parquet file, quotes first at one time."""
    found = read_parquet(source)
    missing = [name for name in COLUMNS if name not in found.column_names]
    if missing:
        raise DataError("DATA_COLUMNS_MISSING", f"{source} is no file of quotes: it has no column {missing[0]}")
    rows = found.filter(pc.equal(found["symbol"], recorded.instrument.symbol))
    if not rows.num_rows:
        raise DataError("SYMBOL_UNKNOWN", f"{source} holds no quotes of {recorded.instrument.symbol}")
    return merge(best_quotes(rows, recorded), recorded.messages(), key=lambda message: message.ts_ns)


def best_quotes(rows: pa.Table, recorded: Recorded) -> Iterator[Tick]:
    """Yield the best quote of one instrument after each change of it."""
    instrument = recorded.instrument
    ts_ns = nanoseconds(rows["ts"])
    order = np.argsort(ts_ns, kind="stable")
    prices = [scaled(rows[name], instrument.price_scale)[order].tolist() for name in ("bid", "ask")]
    sizes = [scaled(rows[name], instrument.qty_scale)[order].tolist() for name in ("bid_qty", "ask_qty")]
    named = "exchange" in rows.column_names
    where = rows["exchange"].to_pylist() if named else [""] * rows.num_rows
    bids: dict[str, Side] = {}
    asks: dict[str, Side] = {}
    last: tuple[Side, Side] | None = None
    columns = zip(ts_ns[order].tolist(), order.tolist(), prices[0], sizes[0], prices[1], sizes[1], strict=True)
    for now_ns, row, bid, bid_qty, ask, ask_qty in columns:
        if bid > 0:
            bids[where[row]] = (bid, bid_qty)
            _forget(asks, [name for name, side in asks.items() if side[0] < bid])
        if ask > 0:
            asks[where[row]] = (ask, ask_qty)
            _forget(bids, [name for name, side in bids.items() if side[0] > ask])
        if not bids or not asks:
            continue
        best = max(bids.values()), min(asks.values(), key=lambda side: (side[0], -side[1]))
        if best != last:
            last = best
            (top, top_qty), (low, low_qty) = best
            yield Tick(instrument.id, now_ns, bid=top, bid_qty=top_qty, ask=low, ask_qty=low_qty)


def _forget(sides: dict[str, Side], names: list[str]) -> None:
    for name in names:
        del sides[name]
