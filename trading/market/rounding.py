"""Columns of floats to exact integers, equal to `amounts.round_to_scale` of each value, ties half to even."""

import numpy as np

from trading.amounts import AmountError, round_to_scale
from trading.market.batches import ABSENT, Array

# Every amount up to this is exact in a float64 too, and 1,000 of them add up within 64 bits.
MAX_AMOUNT = 2**53
# A product this close to a half (in units of its last place) may round the other way than the decimal text does.
DOUBT_ULPS = 4.0


def to_integers(values: Array, factors: Array | float) -> Array:
    """Return float64 `values` x `factors` (powers of ten) as int64; `ABSENT` where it is not finite or too large."""
    product = values * factors
    with np.errstate(invalid="ignore"):
        nearest = np.rint(product)
        distance = np.abs(np.abs(product - nearest) - 0.5)
        doubtful = distance <= DOUBT_ULPS * np.spacing(product)
        fits = np.abs(nearest) <= MAX_AMOUNT
    if doubtful.any():
        _settle(values, factors, nearest, doubtful & fits)
    if fits.all():
        return nearest.astype(np.int64)
    result = np.full(len(values), ABSENT, np.int64)
    result[fits] = nearest[fits].astype(np.int64)
    return result


def _settle(values: Array, factors: Array | float, nearest: Array, doubtful: Array) -> None:
    every = np.broadcast_to(factors, values.shape)
    for row in np.flatnonzero(doubtful).tolist():
        scale = round(float(np.log10(every[row])))
        try:
            nearest[row] = round_to_scale(float(values[row]), scale)
        except AmountError:
            nearest[row] = np.nan
