"""Performance of an equity curve and of its round trips. Statistics are floats; cash is an exact integer.

An undefined figure (no variance, no trade, no losing period) is NaN, never zero or infinity: a strategy that did
nothing must not look like one that did well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Times = np.ndarray[Any, np.dtype[np.int64]]
NS_PER_YEAR = 365.25 * 86_400 * 1e9
NAN = float("nan")


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A position from flat to flat: times in ns UTC, cash in 1e-9 of the currency, fees included in `pnl`."""

    instrument: str
    side: int
    qty: int
    opened_ns: int
    closed_ns: int
    pnl: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The summary of one run. Ratios are annualised by the calendar; fractions are of 1."""

    total_return: float
    annual_return: float
    sharpe: float
    sortino: float
    max_drawdown: float
    max_drawdown_s: float
    turnover: float
    exposure: float
    hit_rate: float
    profit_factor: float
    trades: int


def periods_per_year(ts_ns: Times) -> float:
    """Return how many of the curve's periods make a year, by its own span; NaN for fewer than two points."""
    if len(ts_ns) < 2 or ts_ns[-1] <= ts_ns[0]:
        return NAN
    return (len(ts_ns) - 1) * NS_PER_YEAR / float(ts_ns[-1] - ts_ns[0])


def returns_of(equity: Floats) -> Floats:
    """Return the simple period returns of an equity curve that stays above zero; empty where it does not."""
    if len(equity) < 2 or np.any(equity[:-1] <= 0):
        return np.empty(0)
    return np.asarray(np.diff(equity) / equity[:-1], dtype=np.float64)


def sharpe(returns: Floats, per_year: float) -> float:
    """Return the annualised Sharpe ratio over a zero rate (Sharpe 1994), with the sample standard deviation."""
    if len(returns) < 2:
        return NAN
    deviation = float(np.std(returns, ddof=1))
    return float(np.mean(returns)) / deviation * per_year**0.5 if deviation > 0 else NAN


def sortino(returns: Floats, per_year: float) -> float:
    """Return the annualised Sortino ratio over a zero target: downside deviation over all periods (Sortino 1994)."""
    if len(returns) < 2:
        return NAN
    downside = float(np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2)))
    return float(np.mean(returns)) / downside * per_year**0.5 if downside > 0 else NAN


def drawdown(equity: Floats) -> Floats:
    """Return the fall from the running maximum at each point, as a fraction of that maximum (0 or negative)."""
    peak = np.maximum.accumulate(equity)
    return np.asarray(np.where(peak > 0, equity / np.where(peak > 0, peak, 1.0) - 1.0, 0.0), dtype=np.float64)


def longest_drawdown_ns(ts_ns: Times, equity: Floats) -> int:
    """Return the longest time from a peak until that peak is reached again, or until the end."""
    peaks = np.flatnonzero(equity >= np.maximum.accumulate(equity))
    if len(peaks) == 0:
        return 0
    ends = np.append(ts_ns[peaks[1:]], ts_ns[-1])
    return int(np.max(ends - ts_ns[peaks]))


def annualised(growth: float, span_ns: int) -> float:
    """Return the return of a year at this growth over a span; NaN where the span is too short to say."""
    if span_ns <= 0 or not growth > 0:
        return NAN
    try:
        return float(growth ** (NS_PER_YEAR / span_ns)) - 1
    except OverflowError:
        return NAN


def measure(
    ts_ns: Sequence[int] | Times,
    equity: Sequence[float] | Floats,
    traded_notional: float,
    exposed_ns: int,
    trips: Sequence[RoundTrip],
) -> Metrics:
    """Summarise one run: an equity mark for each `ts_ns`, all traded notional, and the time with a position."""
    times, curve = np.asarray(ts_ns, dtype=np.int64), np.asarray(equity, dtype=np.float64)
    if len(times) != len(curve) or len(curve) == 0:
        raise ValueError(f"{len(times)} times for {len(curve)} equity marks; one mark for each time, at least one")
    per_year = periods_per_year(times)
    returns = returns_of(curve)
    span_ns = int(times[-1] - times[0])
    growth = float(curve[-1] / curve[0]) if curve[0] > 0 else NAN
    gains = sum(trip.pnl for trip in trips if trip.pnl > 0)
    losses = -sum(trip.pnl for trip in trips if trip.pnl < 0)
    return Metrics(
        total_return=growth - 1,
        annual_return=annualised(growth, span_ns),
        sharpe=sharpe(returns, per_year),
        sortino=sortino(returns, per_year),
        max_drawdown=abs(float(np.min(drawdown(curve)))),
        max_drawdown_s=longest_drawdown_ns(times, curve) / 1e9,
        turnover=traded_notional / float(np.mean(curve)) if np.mean(curve) > 0 else NAN,
        exposure=exposed_ns / span_ns if span_ns > 0 else NAN,
        hit_rate=sum(trip.pnl > 0 for trip in trips) / len(trips) if trips else NAN,
        profit_factor=gains / losses if losses else NAN,
        trades=len(trips),
    )
