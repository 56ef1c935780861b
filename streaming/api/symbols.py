"""What /v2 calls instruments: Alpaca's symbols for ours, and asset ids.

`SPY` and `BTC/USD` (also `BTCUSD`, `BTC-USD`) mean the instrument of the preferred venue, or the only one with the
symbol; `SYMBOL.VENUE` always means exactly that one.
"""

from uuid import UUID

from trading.ids import digest
from trading.instruments import Instrument, InstrumentTable


class SymbolBook:
    """Both ways between instruments and symbols, made once."""

    def __init__(self, instruments: InstrumentTable, venue: str) -> None:
        self._by_symbol: dict[str, Instrument] = {}
        self._shown: dict[str, str] = {}
        groups: dict[str, list[Instrument]] = {}
        for instrument in instruments:
            groups.setdefault(instrument.symbol, []).append(instrument)
        for symbol, group in groups.items():
            chosen = next((one for one in group if one.venue == venue), group[0] if len(group) == 1 else None)
            if chosen is None:
                continue
            shown = symbol.replace("-", "/") if chosen.asset_class == "crypto" else symbol
            self._shown[chosen.id] = shown
            for name in (symbol.replace("-", ""), symbol, shown):
                self._by_symbol.setdefault(name, chosen)
        for instrument in instruments:
            self._by_symbol[instrument.id] = instrument
            self._by_symbol[asset_id(instrument.id)] = instrument

    def find(self, symbol: str) -> Instrument | None:
        """Return the instrument of a symbol, of an instrument id or of an asset id."""
        return self._by_symbol.get(symbol)

    def shown(self, instrument: str) -> str:
        """Return the symbol under which /v2 shows an instrument."""
        return self._shown.get(instrument, instrument)


def asset_id(instrument: str) -> str:
    """Return the asset id of an instrument: a UUID that is a pure function of its id."""
    return as_uuid(digest("asset", instrument))


def account_uuid(account: str) -> str:
    """Return the UUID of an account."""
    return as_uuid(digest("account", account))


def as_uuid(text: str) -> str:
    """Return 32 hex digits in the form of a UUID."""
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def order_of_uuid(text: str) -> str | None:
    """Return our order id of a UUID, or None if it is none."""
    try:
        return UUID(text).hex if len(text) in (32, 36) else None
    except ValueError:
        return None
