from typing import Any

import pytest

from trading.instruments import CALENDARS, CATALOGUE, Instrument, InstrumentTable


def test_the_catalogue_is_whole() -> None:
    assert len(CATALOGUE) == len(list(CATALOGUE)) == len({instrument.id for instrument in CATALOGUE})
    assert {instrument.calendar for instrument in CATALOGUE} <= set(CALENDARS)
    assert sum(instrument.venue == "SIM" for instrument in CATALOGUE) >= 6


def test_look_up() -> None:
    spy = CATALOGUE["SPY.US"]
    assert CATALOGUE.find("SPY", "US") is CATALOGUE.get("SPY.US") is spy
    assert CATALOGUE.get("SPY.XX") is CATALOGUE.find("XX", "US") is None
    with pytest.raises(KeyError):
        CATALOGUE["XX.US"]


@pytest.mark.parametrize(
    "change", [{"price_scale": 13}, {"qty_scale": -1}, {"tick": 0}, {"lot": 0}, {"calendar": "XXXX"}]
)
def test_nonsense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="A: "):
        Instrument(symbol="A", venue="V", **change)


def test_an_instrument_is_defined_once() -> None:
    one = Instrument(symbol="A", venue="V")
    with pytest.raises(ValueError, match="twice"):
        InstrumentTable([one, one])
