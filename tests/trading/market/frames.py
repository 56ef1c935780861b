"""Builders of raw frames, and a small driver that collects what a normaliser yields."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trading.instruments import Instrument, InstrumentTable
from trading.market.batches import ABSENT, QUOTE, TRADE, RawBatch
from trading.market.normalize import Normalized, Normalizer
from trading.market.policy import MarketPolicy
from trading.messages import Price, Reject, Source

NS = 1_000_000_000
MINUTE = 60 * NS
# 2026-03-02, a Monday: 14:30 UTC is the open of the New York session.
DAY = 1_772_409_600 * NS
OPEN = DAY + 14 * 3600 * NS + 30 * MINUTE
TABLE = InstrumentTable(
    [
        Instrument(symbol="AAA", venue="US", calendar="XNYS", price_scale=4, tick=100),
        Instrument(symbol="BBB", venue="US", calendar="XNYS", price_scale=4, tick=100),
        Instrument(symbol="COIN", venue="SIM", price_scale=2, qty_scale=8),
        Instrument(symbol="GEM", venue="SIM", price_scale=2, qty_scale=8),
    ]
)
NAN = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One raw tick; a quote has `kind` QUOTE."""

    ts: int
    symbol: str = "AAA"
    kind: int = TRADE
    id: int = ABSENT
    price: float = NAN
    qty: float = NAN
    bid: float = NAN
    bid_qty: float = NAN
    ask: float = NAN
    ask_qty: float = NAN
    exchange: str = "X"
    condition: str = ""
    suspicious: int = 0


def trade(ts: int, price: float, qty: float = 1.0, id: int = ABSENT, symbol: str = "AAA", **more: Any) -> Row:
    """Return a trade."""
    return Row(ts=ts, price=price, qty=qty, id=id, symbol=symbol, **more)


def quote(ts: int, bid: float = NAN, ask: float = NAN, symbol: str = "AAA", **more: Any) -> Row:
    """Return a quote of size 1 on the sides that are there."""
    return Row(ts=ts, kind=QUOTE, bid=bid, bid_qty=1.0, ask=ask, ask_qty=1.0, symbol=symbol, **more)


def _dictionary(values: Iterable[str]) -> tuple[list[str], Any]:
    listed = list(values)
    names = sorted(set(listed))
    return names, np.array([names.index(value) for value in listed], np.int16)


def frame(
    rows: Sequence[Row],
    seq: int,
    clock: int | None = None,
    *,
    feed: str = "test",
    venue: str = "US",
    eof: bool = False,
) -> RawBatch:
    """Return rows as a frame; the clock is the newest ts unless it is given."""

    def column(name: str, kind: Any) -> Any:
        return np.array([getattr(row, name) for row in rows], kind)

    clock = max(row.ts for row in rows) if clock is None else clock
    floats = {name: column(name, np.float64) for name in ("price", "qty", "bid", "bid_qty", "ask", "ask_qty")}
    return RawBatch(
        kind=column("kind", np.uint8),
        symbol=_dictionary(row.symbol for row in rows),
        ts_ns=column("ts", np.int64),
        trade_id=column("id", np.int64),
        exchange=_dictionary(row.exchange for row in rows),
        condition=_dictionary(row.condition for row in rows),
        suspicious=column("suspicious", np.uint8),
        feed=feed,
        venue=venue,
        seq=seq,
        clock_ns=clock,
        recv_ns=clock,
        eof=eof,
        **floats,
    )


BarKey = tuple[str, int, int]
Bar = tuple[int, ...]


@dataclass(slots=True)
class Desk:
    """A normaliser, its outputs so far, and the number of the next frame."""

    policy: MarketPolicy = field(default_factory=MarketPolicy)
    shards: int = 1
    venue: str = "US"
    seq: int = 0
    offset: int = 0
    normalizer: Normalizer = field(init=False)
    ticks: list[dict[str, Any]] = field(default_factory=list)
    bars: list[tuple[BarKey, int, Bar]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    prices: list[Price] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.normalizer = Normalizer(TABLE, self.policy, self.shards)

    def send(self, *rows: Row, clock: int | None = None, eof: bool = False) -> Normalized:
        """Apply one frame of rows; without rows a clock must be given."""
        made = frame(rows, self.seq, clock, venue=self.venue, eof=eof)
        self.seq += 1
        return self.give(made.encode())

    def finish(self, clock: int) -> Normalized:
        """Apply the last frame of the feed."""
        return self.send(clock=clock, eof=True)

    def give(self, payload: bytes) -> Normalized:
        """Apply raw bytes and keep what comes out."""
        out = self.normalizer.apply(payload, Source(0, self.offset))
        self.offset += 1
        for batch in out.ticks.values():
            names = [name for name in batch.COLUMNS if name not in ("instrument", "exchange", "condition")]
            for row in range(len(batch)):
                tick: dict[str, Any] = {name: int(getattr(batch, name)[row]) for name in names}
                tick["instrument"] = batch.instrument[0][int(batch.instrument[1][row])]
                self.ticks.append(tick)
        self.bars += listed(out)
        self.rejects += out.dead.rejects if out.dead else ()
        self.prices += out.prices
        totals = self.normalizer.totals
        assert totals.ticks_in == totals.ticks_out + totals.rejected + totals.duplicates
        return out

    @property
    def codes(self) -> list[str]:
        """Return the codes of all rejects so far."""
        return [reject.code for reject in self.rejects]

    @property
    def latest(self) -> dict[BarKey, Bar]:
        """Return open, high, low, close, volume, trades and flags of the newest revision of each bar."""
        return {key: bar for key, _, bar in self.bars}


def listed(out: Normalized) -> list[tuple[BarKey, int, Bar]]:
    """Return the bars of an output as ((instrument, interval in s, start), revision, values)."""
    found = []
    for batch in out.bars.values():
        values = (batch.open, batch.high, batch.low, batch.close, batch.volume, batch.trades, batch.flags)
        for row in range(len(batch)):
            name = batch.instrument[0][int(batch.instrument[1][row])]
            key = (name, int(batch.interval_s[row]), int(batch.start_ns[row]))
            found.append((key, int(batch.revision[row]), tuple(int(column[row]) for column in values)))
    return found
