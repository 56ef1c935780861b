"""Trades folded into one-minute bars: sorted by (instrument, ts, trade id), then one reduction for each column."""

from dataclasses import dataclass

import numpy as np

from trading.market.batches import Array
from trading.market.intervals import MINUTE_NS


@dataclass(slots=True)
class Trades:
    """Accepted trades, grouped by instrument number, in order of arrival within an instrument."""

    inst: Array
    session: Array
    ts: Array
    id: Array
    price: Array
    qty: Array
    flags: Array


@dataclass(slots=True)
class Segments:
    """One partial one-minute bar for each (instrument, minute), in that order; `first` and `last` are its trades."""

    inst: Array
    session: Array
    start: Array
    first_ts: Array
    first_id: Array
    open: Array
    high: Array
    low: Array
    last_ts: Array
    last_id: Array
    close: Array
    volume: Array
    trades: Array
    flags: Array


def fold(trades: Trades) -> Segments:
    """Return the partial bars of the trades. Trades of equal ts and id keep their order of arrival."""
    inst, ts, ids = trades.inst, trades.ts, trades.id
    price, qty, flags = trades.price, trades.qty, trades.flags
    session = trades.session
    new_inst = inst[1:] != inst[:-1]
    step = ts[1:] - ts[:-1]
    if not (new_inst | (step > 0) | ((step == 0) & (ids[1:] >= ids[:-1]))).all():
        order = np.lexsort((ids, ts, inst))
        ts, ids, price, qty, flags, session = (c[order] for c in (ts, ids, price, qty, flags, session))
    minute = ts // MINUTE_NS
    cut = (new_inst | (minute[1:] != minute[:-1])).nonzero()[0] + 1
    starts = np.concatenate((_ZERO, cut))
    ends = np.concatenate((cut, (len(ts),))) - 1
    return Segments(
        inst=inst[starts],
        session=session[starts].astype(np.int64),
        start=minute[starts] * MINUTE_NS,
        first_ts=ts[starts],
        first_id=ids[starts],
        open=price[starts],
        high=np.maximum.reduceat(price, starts),
        low=np.minimum.reduceat(price, starts),
        last_ts=ts[ends],
        last_id=ids[ends],
        close=price[ends],
        volume=np.add.reduceat(qty, starts),
        trades=ends - starts + 1,
        flags=np.bitwise_or.reduceat(flags, starts).astype(np.int64),
    )


_ZERO = np.zeros(1, np.int64)
