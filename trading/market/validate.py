"""What can be said about a row of a frame by itself: known, finite, positive, in range. Whole columns at a time."""

from dataclasses import dataclass

import numpy as np

from trading.market.batches import ABSENT, QUOTE, TRADE, Array, RawBatch
from trading.market.rejects import Code
from trading.market.rounding import to_integers
from trading.market.universe import Universe


@dataclass(slots=True)
class Checked:
    """The rows of one frame as integers, and the code of each; a row whose code is not OK has no meaning."""

    inst: Array
    codes: Array
    trades: bool
    quotes: bool
    price: Array
    qty: Array
    bid: Array
    bid_qty: Array
    ask: Array
    ask_qty: Array


def check_rows(batch: RawBatch, universe: Universe, absent: Array) -> Checked:
    """Return the rows as integers with their codes. `absent` is a column of `ABSENT` to share."""
    n = len(batch)
    symbols, codes_in = batch.symbol
    inst = universe.rows_of(symbols)[codes_in]
    codes = np.zeros(n, np.uint8)
    kind = batch.kind
    trades, quotes = bool((kind == TRADE).any()), bool((kind != TRADE).any())
    if inst.min() < 0:
        _mark(codes, inst < 0, Code.UNKNOWN_SYMBOL)
        inst = np.maximum(inst, 0)
    if quotes and kind.max() > QUOTE:
        _mark(codes, kind > QUOTE, Code.BAD_KIND)
    ts = batch.ts_ns
    if ts.min() < universe.first_ns or ts.max() >= universe.last_ns:
        _mark(codes, (ts < universe.first_ns) | (ts >= universe.last_ns), Code.OUT_OF_RANGE)
    by_price = universe.one_price_factor or universe.price_factor[inst]
    by_qty = universe.one_qty_factor or universe.qty_factor[inst]
    columns = [absent[:n]] * 6
    if trades:
        columns[:2] = _check_trades(batch, codes, by_price, by_qty, kind == TRADE if quotes else None)
    if quotes:
        columns[2:] = _check_quotes(batch, codes, by_price, by_qty, kind == QUOTE if trades else None)
    return Checked(inst, codes, trades, quotes, *columns)


def _check_trades(
    batch: RawBatch, codes: Array, by_price: Array | float, by_qty: Array | float, only: Array | None
) -> list[Array]:
    price, qty = to_integers(batch.price, by_price), to_integers(batch.qty, by_qty)
    if only is None and price.min() > 0 and qty.min() > 0:
        return [price, qty]
    mask = np.ones(len(codes), bool) if only is None else only
    with np.errstate(invalid="ignore"):
        _mark(codes, mask & ~(np.isfinite(batch.price) & np.isfinite(batch.qty)), Code.NOT_A_NUMBER)
        _mark(codes, mask & ((price == ABSENT) | (qty == ABSENT)), Code.OUT_OF_RANGE)
        _mark(codes, mask & (batch.price <= 0), Code.NEGATIVE_PRICE)
        _mark(codes, mask & (price <= 0), Code.OUT_OF_RANGE)
        _mark(codes, mask & (batch.qty < 0), Code.NEGATIVE_SIZE)
        _mark(codes, mask & (qty <= 0), Code.ZERO_SIZE)
    return [np.where(mask, column, ABSENT) for column in (price, qty)]


def _check_quotes(
    batch: RawBatch, codes: Array, by_price: Array | float, by_qty: Array | float, only: Array | None
) -> list[Array]:
    mask = np.ones(len(codes), bool) if only is None else only
    columns: list[Array] = []
    present: list[Array] = []
    for raw_price, raw_size in ((batch.bid, batch.bid_qty), (batch.ask, batch.ask_qty)):
        with np.errstate(invalid="ignore"):
            # Feeds write 0 as well as nothing for the side that did not change.
            here = mask & ~np.isnan(raw_price) & (raw_price != 0)
            price = to_integers(raw_price, by_price)
            size = to_integers(np.where(np.isnan(raw_size), 0.0, raw_size), by_qty)
            _mark(codes, here & ~(np.isfinite(raw_price) & ~np.isinf(raw_size)), Code.NOT_A_NUMBER)
            _mark(codes, here & ((price == ABSENT) | (size == ABSENT)), Code.OUT_OF_RANGE)
            _mark(codes, here & (raw_price < 0), Code.NEGATIVE_PRICE)
            _mark(codes, here & (price <= 0), Code.OUT_OF_RANGE)
            _mark(codes, here & (raw_size < 0), Code.NEGATIVE_SIZE)
        columns += [np.where(here, price, ABSENT), np.where(here, size, ABSENT)]
        present.append(here)
    _mark(codes, mask & ~(present[0] | present[1]), Code.EMPTY_QUOTE)
    return columns


def _mark(codes: Array, mask: Array, code: Code) -> None:
    codes[mask & (codes == 0)] = code
