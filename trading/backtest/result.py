"""What a run leaves: orders, fills, refusals, round trips, the equity curve at the marks, and the metrics.

Between two fills cash and position stand still, so the curve is made of whole columns: equity = cash + position x mark
at each mark, exact in 1e-9 of the currency.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trading.amounts import CASH_SCALE
from trading.backtest.metrics import Metrics, RoundTrip, measure
from trading.backtest.trips import round_trips
from trading.events import CommandRefused, OrderAccepted, OrderFilled, OrderRefused
from trading.instruments import Instrument
from trading.market.batches import Array

CASH_UNITS = 10**CASH_SCALE
INT64_SAFE = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Cash, position, mark and equity at each time; int64, or Python integers where they would not fit."""

    ts_ns: Array
    cash: Array
    position: Array
    mark: Array
    equity: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One finished run. Cash is in 1e-9."""

    instrument: Instrument
    curve: Curve
    orders: Sequence[OrderAccepted]
    fills: Sequence[OrderFilled]
    refusals: Sequence[OrderRefused | CommandRefused]
    trips: Sequence[RoundTrip]
    metrics: Metrics
    fees: int
    traded: int

    @property
    def final_equity(self) -> int:
        """Return the equity at the last mark."""
        return int(self.curve.equity[-1])


def curve_of(points: Sequence[tuple[int, int, int]], ts_ns: Array, mark: Array, instrument: Instrument) -> Curve:
    """Return the curve: `points` are (time, cash, position), each in force at the marks of its time and after."""
    since = np.array([point[0] for point in points], np.int64)
    place = np.searchsorted(since, ts_ns, side="right") - 1
    cash = np.array([point[1] for point in points], np.int64)[place]
    position = np.array([point[2] for point in points], np.int64)[place]
    shift = CASH_SCALE - instrument.price_scale - instrument.qty_scale
    largest = int(np.abs(position).max()) * int(mark.max()) * 10 ** max(shift, 0)
    wide = largest + int(np.abs(cash).max()) > INT64_SAFE
    value = position.astype(object) * mark.astype(object) if wide else position * mark
    value = value * 10**shift if shift >= 0 else _divided(value, 10**-shift)
    return Curve(ts_ns=ts_ns, cash=cash, position=position, mark=mark, equity=cash + value)


def result_of(
    instrument: Instrument,
    curve: Curve,
    orders: Sequence[OrderAccepted],
    fills: Sequence[OrderFilled],
    refusals: Sequence[OrderRefused | CommandRefused],
) -> Result:
    """Return the result with everything that follows from the curve and the fills."""
    trips = round_trips(fills)
    traded = sum(abs(fill.cost) for fill in fills)
    held = curve.position[:-1] != 0
    metrics = measure(
        curve.ts_ns,
        curve.equity.astype(np.float64) / CASH_UNITS,
        traded / CASH_UNITS,
        int(np.diff(curve.ts_ns)[held].sum()),
        trips,
    )
    return Result(
        instrument=instrument,
        curve=curve,
        orders=orders,
        fills=fills,
        refusals=refusals,
        trips=trips,
        metrics=metrics,
        fees=sum(fill.fee for fill in fills),
        traded=traded,
    )


def _divided(value: Array, by: int) -> Array:
    """Divide, ties to even, as `trading.amounts.divide_half_even` does."""
    quotient, rest = value // by, value % by
    up = (2 * rest > by) | ((2 * rest == by) & (quotient % 2 == 1))
    return np.asarray(quotient + up)
