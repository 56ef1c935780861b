"""Value at risk of a book: parametric from a covariance, historical from a window of returns.

Statistics are floats only while a model is built. From there on everything is an integer, so that the incremental
figure equals the one from scratch bit for bit, whatever the history: exposures in cents, covariances in 1e-12 and
returns in 1e-6, both already scaled to the horizon.
"""

from collections.abc import Sequence
from math import isqrt
from typing import Any

import numpy as np

CENT = 10**7
COVARIANCE_SCALE = 10**12
RETURN_SCALE = 10**6
# The square of the normal quantile at 99 %, 2.326347874, in 1e-6.
Z99_SQUARED = 5_411_894
HORIZON_DAYS = 30
TAIL_PARTS = 100
MIN_WINDOW = 30
# The sum of |exposure| x largest |return| stays below this, so that no scenario overflows 64 bits.
MAX_REACH = 2**62

Array = np.ndarray[Any, np.dtype[Any]]
_QUAD_TO_CENTS = COVARIANCE_SCALE * 10**6


class RiskModel:
    """Immutable risk parameters of some instruments. `version` names them in the journal."""

    __slots__ = ("cov", "index", "names", "returns", "spread", "tail", "version")

    def __init__(self, version: int, names: Sequence[str], covariance: Sequence[Sequence[int]], returns: Array) -> None:
        """Take covariances in 1e-12 and a (scenario, instrument) window of returns in 1e-6, for the horizon."""
        if returns.shape[0] < MIN_WINDOW or returns.shape[1] != len(names) or len(covariance) != len(names):
            raise ValueError(f"a risk model needs {MIN_WINDOW} scenarios or more, and one column for each instrument")
        self.version = version
        self.names = tuple(names)
        self.index = {name: i for i, name in enumerate(names)}
        self.cov = tuple(tuple(map(int, row)) for row in covariance)
        self.returns = np.ascontiguousarray(returns.T.astype(np.int64))
        self.returns.setflags(write=False)
        self.spread = tuple(int(np.abs(row).max()) for row in self.returns)
        # 1 % of the scenarios are worse than the figure; at least the worst one counts.
        self.tail = max(1, returns.shape[0] // TAIL_PARTS)


def build_model(
    version: int, names: Sequence[str], daily_returns: Array, horizon_days: int = HORIZON_DAYS
) -> RiskModel:
    """Return the model of a (day, instrument) table of daily returns; variance grows with the square root of time."""
    if not np.isfinite(daily_returns).all():
        raise ValueError("daily returns must be finite")
    covariance = np.atleast_2d(np.cov(daily_returns, rowvar=False)) * horizon_days * COVARIANCE_SCALE
    window = np.rint(daily_returns * np.sqrt(horizon_days) * RETURN_SCALE)
    return RiskModel(version, names, [[round(cell) for cell in row] for row in covariance.tolist()], window)


class VarBook:
    """The exposures of one account, with the quadratic form and the scenario losses kept up to date."""

    __slots__ = ("_base", "_base_loss", "_drift", "_pnl", "_reach", "model", "quad", "x")

    def __init__(self, model: RiskModel) -> None:
        self.model = model
        self.x: dict[str, int] = {}
        self.quad = 0
        self._pnl: Array = np.zeros(model.returns.shape[1], np.int64)
        self._base: dict[str, int] = {}
        self._base_loss = 0
        self._drift = 0
        self._reach = 0

    def update(self, name: str, cents: int) -> None:
        """Set one exposure: a rank-1 change of the quadratic form. Raises KeyError or OverflowError."""
        before = self.x.get(name, 0)
        change = cents - before
        if not change:
            return
        base = self._base.get(name, 0)
        spread = self.model.spread[self.model.index[name]]
        reach = self._reach + (abs(cents) - abs(before)) * spread
        if reach > MAX_REACH:
            raise OverflowError(f"exposure in {name} is too large for the historical window")
        self._reach = reach
        self.quad = self.quad_after(name, change)
        self._drift += (abs(cents - base) - abs(before - base)) * spread
        if cents:
            self.x[name] = cents
        else:
            del self.x[name]

    def quad_after(self, name: str, change: int) -> int:
        """Return the quadratic form if the exposure in `name` changed by this much, in O(held instruments)."""
        index = self.model.index
        i = index[name]
        row = self.model.cov[i]
        slope = 0
        for other, cents in self.x.items():
            slope += row[index[other]] * cents
        return self.quad + change * (2 * slope + row[i] * change)

    def parametric_after(self, name: str, change: int) -> int:
        """Return the 99 % parametric VaR in cents, rounded down, after a change."""
        return parametric(self.quad_after(name, change))

    def historical_within(self, name: str, change: int, limit_cents: int) -> bool:
        """Say whether the historical VaR after a change is at most the limit.

        A quantile moves by no more than the largest move of a scenario, so far from the limit no scenario is touched.
        """
        spread = self.model.spread[self.model.index[name]]
        if self._base_loss + self._drift + abs(change) * spread <= limit_cents * RETURN_SCALE:
            return True
        return self.historical_after(name, change) <= limit_cents

    def historical_after(self, name: str, change: int) -> int:
        """Return the 99 % historical VaR in cents, rounded up, after a change."""
        if self._reach + abs(change) * self.model.spread[self.model.index[name]] > MAX_REACH:
            raise OverflowError(f"exposure in {name} is too large for the historical window")
        self._catch_up()
        pnl = self._pnl + self.model.returns[self.model.index[name]] * change if change else self._pnl
        return -(-_loss(pnl, self.model.tail) // RETURN_SCALE)

    def _catch_up(self) -> None:
        if not self._drift:
            return
        for name in self._base.keys() | self.x.keys():
            change = self.x.get(name, 0) - self._base.get(name, 0)
            if change:
                self._pnl = self._pnl + self.model.returns[self.model.index[name]] * change
        self._base = dict(self.x)
        self._base_loss = _loss(self._pnl, self.model.tail)
        self._drift = 0


def parametric(quad: int) -> int:
    """Return the 99 % VaR in cents, rounded down, of a quadratic form."""
    return isqrt(max(0, quad) * Z99_SQUARED // _QUAD_TO_CENTS)


def parametric_within(quad: int, limit_cents: int) -> bool:
    """Say whether the parametric VaR of a quadratic form is at most the limit; exact."""
    return quad * Z99_SQUARED <= limit_cents * limit_cents * _QUAD_TO_CENTS


def _loss(pnl: Array, tail: int) -> int:
    return max(0, -int(np.partition(pnl, tail - 1)[tail - 1]))
