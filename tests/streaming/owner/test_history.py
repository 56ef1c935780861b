"""The packaged risk parameters: the same on every machine, of a size that fits the market."""

from streaming.owner.history import DAYS, VERSION, packaged_model
from trading.instruments import CATALOGUE, Instrument, InstrumentTable


def daily(name: str) -> float:
    model = packaged_model(CATALOGUE)
    at = model.index[name]
    return float((model.cov[at][at] / 30 / 1e12) ** 0.5)


def correlation(one: str, two: str) -> float:
    model = packaged_model(CATALOGUE)
    a, b = model.index[one], model.index[two]
    return float(model.cov[a][b] / (model.cov[a][a] * model.cov[b][b]) ** 0.5)


def test_every_instrument_has_parameters_that_do_not_change() -> None:
    one, two = packaged_model(CATALOGUE), packaged_model(CATALOGUE)
    assert (one.cov, one.version) == (two.cov, VERSION)
    assert (one.returns == two.returns).all()
    assert set(one.names) == {instrument.id for instrument in CATALOGUE}
    assert one.returns.shape == (len(CATALOGUE), DAYS)


def test_volatility_and_correlation_are_those_of_the_class() -> None:
    assert 0.022 < daily("BTC-USD.SIM") < 0.028
    assert 0.008 < daily("SPY.US") < 0.012
    assert correlation("BTC-USD.SIM", "ETH-USD.SIM") > 0.4
    assert correlation("SPY.US", "QQQ.US") > 0.3


def test_an_instrument_of_the_settings_gets_parameters_too() -> None:
    mine = Instrument(symbol="MINE", venue="SIM", asset_class="bond")
    assert packaged_model(InstrumentTable([*CATALOGUE, mine])).index["MINE.SIM"] == len(CATALOGUE)
