"""What the simulated exchange trades: prices and rows that are a pure function of (seed, frame, time).

The price path is fractal value noise: each octave interpolates between hashed knots, so any moment can be computed
without the moments before it, and a price that looks like a random walk never leaves a sane range.
"""

from collections.abc import Sequence

import numpy as np

from trading.instruments import Instrument
from trading.market.batches import ABSENT, QUOTE, TRADE, Array, RawBatch

START_PRICES = {
    "BTC-USD": 60_000.0,
    "ETH-USD": 3_000.0,
    "SOL-USD": 150.0,
    "XRP-USD": 0.55,
    "ADA-USD": 0.45,
    "DOGE-USD": 0.12,
    "BCH-USD": 450.0,
    "TRX-USD": 0.12,
}
DEFAULT_PRICE = 100.0
# 60 % a year for each square root of a second, which is what the majors do.
VOLATILITY = 1.07e-4
SHORTEST_KNOT_S = 0.25
OCTAVES = 18
SPREAD_SHARE = 1e-4
TRADE_SHARE = 0.4
IDS_PER_FRAME = 1_024
DAY_NS = 86_400_000_000_000

_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


class SimMarket:
    """The instruments of the simulated exchange and their seeded price paths."""

    def __init__(self, instruments: Sequence[Instrument], seed: int) -> None:
        self.symbols = tuple(instrument.symbol for instrument in instruments)
        self.seed = seed
        count = len(instruments)
        self._start = np.array([START_PRICES.get(symbol, DEFAULT_PRICE) for symbol in self.symbols])
        self._unit = np.array([10.0**i.price_scale / i.tick for i in instruments])
        self._lots = np.array([10.0 ** min(i.qty_scale, 4) for i in instruments])
        weights = 1.0 / np.arange(2, count + 2)
        self._cumulative = np.cumsum(weights / weights.sum())
        knots = SHORTEST_KNOT_S * 2.0 ** np.arange(OCTAVES)
        self._knots = knots
        self._amplitude = VOLATILITY * np.sqrt(knots)
        lanes = np.arange(count * OCTAVES, dtype=np.uint64).reshape(count, OCTAVES)
        self._lanes = _hash(_hash(lanes) + np.uint64(seed))
        self._knot = np.full(OCTAVES, np.nan)
        self._sides: tuple[Array, Array]
        self._last = 0.0, self.mids(0.0)

    def mids(self, elapsed_s: float) -> Array:
        """Return the mid price of every symbol at a moment of the exchange's life."""
        position = elapsed_s / self._knots
        knot = np.floor(position)
        part = position - knot
        if not (knot == self._knot).all():
            self._knot, self._sides = knot, (_uniform(self._lanes, knot), _uniform(self._lanes, knot + 1))
        left, right = self._sides
        drift = ((left * (1 - part) + right * part) * self._amplitude).sum(axis=1)
        return np.asarray(self._start * np.exp(drift * np.sqrt(12.0)))

    def _mids_once(self, elapsed_s: float) -> Array:
        """Return the mids, those of the last moment as they are: a frame begins where the one before has ended."""
        if elapsed_s != self._last[0]:
            self._last = elapsed_s, self.mids(elapsed_s)
        return self._last[1]

    def batch(self, seq: int, ts_ns: Array, span_s: tuple[float, float], feed: str) -> RawBatch:
        """Return the rows of frame `seq` at the given times; `span_s` is where it lies in the exchange's life."""
        rows = len(ts_ns)
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, seq])))
        code = np.minimum(np.searchsorted(self._cumulative, rng.random(rows), side="right"), len(self.symbols) - 1)
        trade = rng.random(rows) < TRADE_SHARE
        begin, end = self._mids_once(span_s[0])[code], self._mids_once(span_s[1])[code]
        mid = begin + (end - begin) * (np.arange(rows) + 0.5) / max(rows, 1)
        unit = self._unit[code]
        bid = np.floor(mid * (1 - SPREAD_SHARE / 2) * unit)
        ask = bid + np.maximum(1.0, np.rint(mid * SPREAD_SHARE * unit)) + rng.integers(0, 3, rows)
        sizes = np.maximum(1.0, np.rint(rng.lognormal(0.0, 1.0, (3, rows)) * self._lots[code])) / self._lots[code]
        price = np.where(rng.random(rows) < 0.5, bid, ask) / unit
        ids = seq * IDS_PER_FRAME + np.arange(rows, dtype=np.int64)
        nothing = np.full(rows, np.nan)
        zeros = np.zeros(rows, np.int16)
        return RawBatch(
            kind=np.where(trade, TRADE, QUOTE).astype(np.uint8),
            symbol=(self.symbols, code.astype(np.int16)),
            ts_ns=ts_ns,
            trade_id=np.where(trade, ids, ABSENT),
            price=np.where(trade, price, nothing),
            qty=np.where(trade, sizes[0], nothing),
            bid=np.where(trade, nothing, bid / unit),
            bid_qty=np.where(trade, nothing, sizes[1]),
            ask=np.where(trade, nothing, ask / unit),
            ask_qty=np.where(trade, nothing, sizes[2]),
            exchange=(("SIM",), zeros),
            condition=(("",), zeros),
            suspicious=np.zeros(rows, np.uint8),
            feed=feed,
            venue="SIM",
            seq=seq,
            clock_ns=0,
            recv_ns=0,
        )


def _hash(values: Array) -> Array:
    """Mix 64-bit words (splitmix64)."""
    values = values + _MIX[0]
    values = (values ^ (values >> np.uint64(30))) * _MIX[1]
    values = (values ^ (values >> np.uint64(27))) * _MIX[2]
    return np.asarray(values ^ (values >> np.uint64(31)))


def _uniform(lanes: Array, knot: Array) -> Array:
    """Return the hashed value of a knot for each lane, in [-0.5, 0.5)."""
    return _hash(lanes + knot.astype(np.uint64) * _MIX[1]) / 2.0**64 - 0.5
