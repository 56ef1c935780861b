"""What a strategy is told of the market: one bar or one tick, prices and quantities in the instrument's scale.

`key` names a message by its content, so that the same market gives the same order ids live and in a backtest, and a
message that is delivered twice does not order twice.
"""

from collections.abc import Iterator

import msgspec

from trading.market.batches import ABSENT, TRADE, BarBatch, TickBatch

NS = 10**9


class Bar(msgspec.Struct, frozen=True, gc=False):
    """A closed bar. `ts_ns` is its end, `start_ns` its first instant."""

    instrument: str
    start_ns: int
    ts_ns: int
    open: int
    high: int
    low: int
    close: int
    volume: int

    @property
    def key(self) -> str:
        """Return what names this bar."""
        return f"bar/{self.instrument}/{self.start_ns}/{self.ts_ns}"


class Tick(msgspec.Struct, frozen=True, gc=False):
    """One trade (`price` is set) or one quote. An absent side is None."""

    instrument: str
    ts_ns: int
    price: int | None = None
    qty: int = 0
    trade_id: int = 0
    bid: int | None = None
    bid_qty: int = 0
    ask: int | None = None
    ask_qty: int = 0

    @property
    def key(self) -> str:
        """Return what names this tick."""
        if self.price is not None:
            return f"trade/{self.instrument}/{self.ts_ns}/{self.trade_id}"
        return f"quote/{self.instrument}/{self.ts_ns}/{self.bid}/{self.bid_qty}/{self.ask}/{self.ask_qty}"


def bars_in(batch: BarBatch, interval_s: int) -> Iterator[Bar]:
    """Yield the first revision of each bar of one interval that had trades; a revised bar is no news to trade on."""
    names, codes = batch.instrument
    columns = (batch.interval_s, batch.revision, codes, batch.start_ns)
    prices = (batch.open, batch.high, batch.low, batch.close, batch.volume)
    for seconds, revision, code, start, *rest in zip(*(column.tolist() for column in columns + prices), strict=True):
        if seconds == interval_s and revision == 0 and rest[0] != ABSENT:
            yield Bar(names[code], start, start + seconds * NS, *rest)


def ticks_in(batch: TickBatch) -> Iterator[Tick]:
    """Yield the ticks of a batch in order."""
    names, codes = batch.instrument
    columns = (batch.kind, codes, batch.ts_ns, batch.price, batch.qty, batch.trade_id)
    sides = (batch.bid, batch.bid_qty, batch.ask, batch.ask_qty)
    rows = zip(*(column.tolist() for column in columns + sides), strict=True)
    for kind, code, ts_ns, price, qty, trade_id, bid, bid_qty, ask, ask_qty in rows:
        if kind == TRADE:
            yield Tick(names[code], ts_ns, price, qty, trade_id)
        else:
            has_bid, has_ask = bid != ABSENT, ask != ABSENT
            yield Tick(
                names[code],
                ts_ns,
                bid=bid if has_bid else None,
                bid_qty=bid_qty if has_bid else 0,
                ask=ask if has_ask else None,
                ask_qty=ask_qty if has_ask else 0,
            )
