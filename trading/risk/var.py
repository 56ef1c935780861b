"""Value at risk of a book: parametric from a covariance, historical from a window of returns.

Statistics are floats only while a model is built. From there on everything is an integer, so that the incremental
figure equals the one from scratch bit for bit, whatever the history: exposures in cents, covariances in 1e-12 and
returns in 1e-6, both already scaled to the horizon.
"""

from collections.abc import Mapping, Sequence
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
        """Take covariances in 1e-12, positive semi-definite, and a (scenario, instrument) window of returns in 1e-6."""
        if returns.shape[0] < MIN_WINDOW or returns.shape[1] != len(names) or len(covariance) != len(names):
            raise ValueError(f"a risk model needs {MIN_WINDOW} scenarios or more, and one column for each instrument")
        self.version = version
        self.names = tuple(names)
        self.index = {name: i for i, name in enumerate(names)}
        self.cov = tuple(tuple(map(int, row)) for row in covariance)
        self.returns = np.ascontiguousarray(returns.T.astype(np.int64))
        self.returns.setflags(write=False)
        self.spread = tuple(
            max(int(np.abs(row).max()), isqrt(self.cov[i][i] * Z99_SQUARED // RETURN_SCALE) + 1)
            for i, row in enumerate(self.returns)
        )
        # 1 % of the scenarios are worse than the figure; at least the worst one counts.
        self.tail = max(1, returns.shape[0] // TAIL_PARTS)

    def spread_of(self, name: str) -> int:
        """Return the most that one cent of exposure can add to either figure, in 1e-6 of a cent."""
        return self.spread[self.index[name]]


def build_model(
    version: int, names: Sequence[str], daily_returns: Array, horizon_days: int = HORIZON_DAYS
) -> RiskModel:
    """Return the model of a (day, instrument) table of daily returns; variance grows with the square root of time."""
    if not np.isfinite(daily_returns).all():
        raise ValueError("daily returns must be finite")
    covariance = np.atleast_2d(np.cov(daily_returns, rowvar=False)) * horizon_days * COVARIANCE_SCALE
    window = np.rint(daily_returns * np.sqrt(horizon_days) * RETURN_SCALE)
    whole = [[round(cell) for cell in row] for row in covariance.tolist()]
    for i in range(len(names)):
        # Rounding moves an eigenvalue by less than the number of instruments: this keeps the form a norm.
        whole[i][i] += len(names)
    return RiskModel(version, names, whole, window)


class VarBook:
    """The exposures of one account. Quadratic form and scenario losses are exact, and brought up to date on demand.

    Neither figure can rise by more than the sum of |change| x the instrument's own worst move: volatility is a norm,
    and a quantile moves by no more than the largest move of a scenario. So far from a limit nothing is computed anew.
    """

    __slots__ = ("_base", "_base_loss", "_drift", "_pnl", "_quad", "_reach", "model", "x")

    def __init__(self, model: RiskModel) -> None:
        self.model = model
        self.x: dict[str, int] = {}
        self._quad = 0
        self._pnl: Array = np.zeros(model.returns.shape[1], np.int64)
        self._base: dict[str, int] = {}
        self._base_loss = 0
        self._drift = 0
        self._reach = 0

    def replace(self, x: Mapping[str, int]) -> None:
        """Set the exposures. Raises KeyError without parameters, OverflowError beyond 64 bits."""
        spread_of, base = self.model.spread_of, self._base
        reach = drift = 0
        for name, cents in x.items():
            spread = spread_of(name)
            reach += abs(cents) * spread
            drift += abs(cents - base.get(name, 0)) * spread
        for name in base.keys() - x.keys():
            drift += abs(base[name]) * spread_of(name)
        if reach > MAX_REACH:
            raise OverflowError("the exposures are too large for the historical window")
        self.x, self._reach, self._drift = dict(x), reach, drift

    def surely_within(self, name: str, change: int, limit_cents: int) -> bool:
        """Say that both figures are within the limit after a change, if the bound alone shows it."""
        spread = self.model.spread_of(name)
        return self._base_loss + self._drift + abs(change) * spread <= limit_cents * RETURN_SCALE

    def quad_after(self, name: str, change: int) -> int:
        """Return the quadratic form if the exposure in `name` changed by this much: rank 1, O(held instruments)."""
        self._catch_up()
        return self._quad + self._step(self.x, name, change)

    def parametric_after(self, name: str, change: int) -> int:
        """Return the 99 % parametric VaR in cents, rounded down, after a change."""
        return parametric(self.quad_after(name, change))

    def historical_after(self, name: str, change: int) -> int:
        """Return the 99 % historical VaR in cents, rounded up, after a change."""
        row = self.model.index[name]
        self._catch_up()
        tail, returns = self.model.tail, self.model.returns[row]
        if self._reach + abs(change) * self.model.spread[row] > MAX_REACH:
            # A mistyped order may be any size: it still gets a figure, only more slowly.
            pairs = zip(self._pnl.tolist(), returns.tolist(), strict=True)
            moved: list[int] = sorted(pnl + move * change for pnl, move in pairs)
            loss: int = max(0, -moved[tail - 1])
        else:
            loss = _loss(self._pnl + returns * change if change else self._pnl, tail)
        return -(-loss // RETURN_SCALE)

    def _step(self, held: dict[str, int], name: str, change: int) -> int:
        index = self.model.index
        i = index[name]
        row = self.model.cov[i]
        slope = 0
        for other, cents in held.items():
            slope += row[index[other]] * cents
        return change * (2 * slope + row[i] * change)

    def _catch_up(self) -> None:
        if not self._drift:
            return
        base = self._base
        for name in sorted(self.x.keys() | base.keys()):
            change = self.x.get(name, 0) - base.get(name, 0)
            if change:
                self._quad += self._step(base, name, change)
                self._pnl = self._pnl + self.model.returns[self.model.index[name]] * change
                base[name] = base.get(name, 0) + change
        self._base = dict(self.x)
        volatility = isqrt(max(0, self._quad) * Z99_SQUARED // RETURN_SCALE) + 1
        self._base_loss = max(_loss(self._pnl, self.model.tail), volatility)
        self._drift = 0


def parametric(quad: int) -> int:
    """Return the 99 % VaR in cents, rounded down, of a quadratic form."""
    return isqrt(max(0, quad) * Z99_SQUARED // _QUAD_TO_CENTS)


def parametric_within(quad: int, limit_cents: int) -> bool:
    """Say whether the parametric VaR of a quadratic form is at most the limit; exact."""
    return quad * Z99_SQUARED <= limit_cents * limit_cents * _QUAD_TO_CENTS


def _loss(pnl: Array, tail: int) -> int:
    return max(0, -int(np.partition(pnl, tail - 1)[tail - 1]))
