"""Columns of floats to exact integers, equal to `amounts.round_to_scale` of each value, ties half to even."""

import numpy as np

from trading.amounts import round_to_scale
from trading.market.batches import ABSENT, Array

# Every amount up to this is exact in a float64 too, and 1,000 of them add up within 64 bits.
MAX_AMOUNT = 2**53
# A product whose distance to a half is below this part of it may round the other way than its decimal text does.
DOUBT = 8.0 * 2.0**-53


def to_integers(values: Array, factors: Array | float) -> Array:
    """Return float64 `values` x `factors` (powers of ten) as int64; `ABSENT` where it is not finite or too large."""
    if not len(values):
        return np.empty(0, np.int64)
    product = values * factors
    nearest = np.rint(product)
    with np.errstate(invalid="ignore"):
        distance = np.abs(product - nearest)
    largest = max(nearest.max(), -nearest.min())
    # False for NaN too, which then takes the long way.
    if distance.max() < 0.5 - largest * DOUBT and largest <= MAX_AMOUNT:
        return nearest.astype(np.int64)
    with np.errstate(invalid="ignore"):
        fits = np.abs(nearest) <= MAX_AMOUNT
        doubtful = fits & (distance >= 0.5 - np.abs(product) * DOUBT)
    if doubtful.any():
        _settle(values, factors, nearest, doubtful)
    result = np.full(len(values), ABSENT, np.int64)
    result[fits] = nearest[fits].astype(np.int64)
    return result


def _settle(values: Array, factors: Array | float, nearest: Array, doubtful: Array) -> None:
    every = np.broadcast_to(factors, values.shape)
    for row in np.flatnonzero(doubtful).tolist():
        scale = round(float(np.log10(every[row])))
        nearest[row] = round_to_scale(float(values[row]), scale)
