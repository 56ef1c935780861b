"""What can be said about a row of a frame by itself: known, finite, positive, in range. Whole columns at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from trading.market.batches import ABSENT, QUOTE, TRADE, Array, RawBatch
from trading.market.rejects import Code
from trading.market.rounding import to_integers
from trading.market.universe import Universe

Factor = Array | float


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
    of_trades = kind == TRADE
    count = np.count_nonzero(of_trades)
    trades, quotes = bool(count), bool(n - count)
    if inst.min() < 0:
        _mark(codes, inst < 0, Code.UNKNOWN_SYMBOL)
        inst = np.maximum(inst, 0)
    if quotes and kind.max() > QUOTE:
        _mark(codes, kind > QUOTE, Code.BAD_KIND)
    ts = batch.ts_ns
    if ts.min() < universe.first_ns or ts.max() >= universe.last_ns:
        _mark(codes, (ts < universe.first_ns) | (ts >= universe.last_ns), Code.OUT_OF_RANGE)
    columns = [absent[:n]] * 6
    if trades:
        _take(columns, 0, codes, _trades, batch, inst, universe, of_trades.nonzero()[0] if quotes else None)
    if quotes:
        _take(columns, 2, codes, _quotes, batch, inst, universe, (kind == QUOTE).nonzero()[0] if trades else None)
    return Checked(inst, codes, trades, quotes, *columns)


def _take(
    columns: list[Array],
    first: int,
    codes: Array,
    check: Callable[[Sequence[Array], Array, Factor, Factor], list[Array]],
    batch: RawBatch,
    inst: Array,
    universe: Universe,
    rows: Array | None,
) -> None:
    """Put the integers of the rows of one kind (None for all) into `columns` from number `first` on."""
    names = ("price", "qty") if first == 0 else ("bid", "bid_qty", "ask", "ask_qty")
    raw = [getattr(batch, name) for name in names]
    by_price: Factor = universe.one_price_factor or universe.price_factor[inst if rows is None else inst[rows]]
    by_qty: Factor = universe.one_qty_factor or universe.qty_factor[inst if rows is None else inst[rows]]
    if rows is None:
        columns[first : first + len(raw)] = check(raw, codes, by_price, by_qty)
        return
    part = codes[rows]
    found = check([column[rows] for column in raw], part, by_price, by_qty)
    codes[rows] = part
    for number, values in enumerate(found, first):
        columns[number] = np.full(len(codes), ABSENT, np.int64)
        columns[number][rows] = values


def _trades(raw: Sequence[Array], codes: Array, by_price: Factor, by_qty: Factor) -> list[Array]:
    price, qty = to_integers(raw[0], by_price), to_integers(raw[1], by_qty)
    if price.min(initial=1) > 0 and qty.min(initial=1) > 0:
        return [price, qty]
    with np.errstate(invalid="ignore"):
        _mark(codes, ~(np.isfinite(raw[0]) & np.isfinite(raw[1])), Code.NOT_A_NUMBER)
        _mark(codes, (price == ABSENT) | (qty == ABSENT), Code.OUT_OF_RANGE)
        _mark(codes, raw[0] <= 0, Code.NEGATIVE_PRICE)
        _mark(codes, price <= 0, Code.OUT_OF_RANGE)
        _mark(codes, raw[1] < 0, Code.NEGATIVE_SIZE)
        _mark(codes, qty <= 0, Code.ZERO_SIZE)
    return [price, qty]


def _quotes(raw: Sequence[Array], codes: Array, by_price: Factor, by_qty: Factor) -> list[Array]:
    rows = len(codes)
    # Both sides at once, for each call costs more than its rows.
    prices = to_integers(np.concatenate((raw[0], raw[2])), _twice(by_price))
    sizes = to_integers(np.concatenate((raw[1], raw[3])), _twice(by_qty))
    if prices.min(initial=1) > 0 and sizes.min(initial=1) > 0:
        return [prices[:rows], sizes[:rows], prices[rows:], sizes[rows:]]
    columns: list[Array] = []
    for raw_price, raw_size in (raw[:2], raw[2:]):
        price, size = to_integers(raw_price, by_price), to_integers(raw_size, by_qty)
        if price.min(initial=1) <= 0 or size.min(initial=1) <= 0:
            price, size = _side(raw_price, raw_size, codes, by_price, by_qty)
        columns += [price, size]
    _mark(codes, (columns[0] == ABSENT) & (columns[2] == ABSENT), Code.EMPTY_QUOTE)
    return columns


def _twice(factor: Factor) -> Factor:
    return factor if isinstance(factor, float) else np.concatenate((factor, factor))


def _side(raw_price: Array, raw_size: Array, codes: Array, by_price: Factor, by_qty: Factor) -> tuple[Array, Array]:
    # Feeds write 0 as well as nothing for the side that did not change, and may leave a size out.
    here = ~np.isnan(raw_price) & (raw_price != 0)
    raw_price = np.where(here, raw_price, 1.0)
    raw_size = np.where(here & ~np.isnan(raw_size), raw_size, 0.0)
    price, size = to_integers(raw_price, by_price), to_integers(raw_size, by_qty)
    _mark(codes, np.isinf(raw_price) | np.isinf(raw_size), Code.NOT_A_NUMBER)
    _mark(codes, (price == ABSENT) | (size == ABSENT), Code.OUT_OF_RANGE)
    _mark(codes, raw_price < 0, Code.NEGATIVE_PRICE)
    _mark(codes, price <= 0, Code.OUT_OF_RANGE)
    _mark(codes, raw_size < 0, Code.NEGATIVE_SIZE)
    return np.where(here, price, ABSENT), np.where(here, size, ABSENT)


def _mark(codes: Array, mask: Array, code: Code) -> None:
    codes[mask & (codes == 0)] = code
