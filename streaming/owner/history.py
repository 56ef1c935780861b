"""Risk parameters for a first start: a year of daily returns from packaged volatilities, so that a new desk can trade.

The window is drawn once from a fixed seed, with one common factor for each asset class. It stands in until measured
parameters are published; its version is 1, and the journal names the version that each decision used.
"""

from functools import cache

import numpy as np

from trading.instruments import Instrument, InstrumentTable
from trading.risk.var import RiskModel, build_model

VERSION = 1
DAYS = 252
SEED = 20_240_101
# Daily volatility and correlation with the common factor of the class: long-run figures of the majors.
CLASSES = {"crypto": (0.032, 0.75), "us_equity": (0.013, 0.65)}
OTHER = (0.020, 0.60)
VOLATILITY = {
    "BTC-USD": 0.025,
    "BTC-PERP": 0.025,
    "ETH-USD": 0.032,
    "SOL-USD": 0.045,
    "DOGE-USD": 0.050,
    "SPY": 0.010,
    "QQQ": 0.013,
    "IWM": 0.014,
    "EEM": 0.012,
    "USO": 0.022,
    "GOOG": 0.018,
    "AAPL": 0.018,
}


@cache
def _factor(asset_class: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    rng = np.random.default_rng([SEED, sum(asset_class.encode())])
    return rng.standard_normal(DAYS)


def _returns(instrument: Instrument) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    usual, shared = CLASSES.get(instrument.asset_class, OTHER)
    own = np.random.default_rng([SEED, *instrument.symbol.encode()]).standard_normal(DAYS)
    mixed = shared * _factor(instrument.asset_class) + np.sqrt(1 - shared**2) * own
    return np.asarray(VOLATILITY.get(instrument.symbol, usual) * mixed)


def packaged_model(instruments: InstrumentTable) -> RiskModel:
    """Return the model of all instruments of a table; the same table gives the same model on any machine."""
    names = [instrument.id for instrument in instruments]
    return build_model(VERSION, names, np.column_stack([_returns(instrument) for instrument in instruments]))
