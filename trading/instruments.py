"""Instruments: scale, tick, lot and calendar of everything that can be traded or watched."""

from collections.abc import Iterable, Iterator

import msgspec

from trading.amounts import MAX_SCALE
from trading.ids import instrument_id

CALENDARS = ("24/7", "XNYS")


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One tradable thing at one venue. `tick` and `lot` are in units of the scales."""

    symbol: str
    venue: str
    name: str = ""
    asset_class: str = "us_equity"
    currency: str = "USD"
    calendar: str = "24/7"
    price_scale: int = 2
    qty_scale: int = 0
    tick: int = 1
    lot: int = 1
    tradable: bool = True
    shortable: bool = True

    def __post_init__(self) -> None:
        if not (0 <= self.price_scale <= MAX_SCALE and 0 <= self.qty_scale <= MAX_SCALE):
            raise ValueError(f"{self.symbol}: scales must be 0 to {MAX_SCALE}")
        if self.tick < 1 or self.lot < 1:
            raise ValueError(f"{self.symbol}: tick and lot must be at least 1")
        if self.calendar not in CALENDARS:
            raise ValueError(f"{self.symbol}: calendar {self.calendar!r} is not one of {', '.join(CALENDARS)}")

    @property
    def id(self) -> str:
        """Return `SYMBOL.VENUE`."""
        return instrument_id(self.symbol, self.venue)


class InstrumentTable:
    """An immutable set of instruments with look-up by id and by (venue, symbol)."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._by_id: dict[str, Instrument] = {}
        for instrument in instruments:
            if instrument.id in self._by_id:
                raise ValueError(f"instrument {instrument.id} is defined twice")
            self._by_id[instrument.id] = instrument

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, id_: str) -> Instrument | None:
        """Return the instrument with this id, or None."""
        return self._by_id.get(id_)

    def find(self, symbol: str, venue: str) -> Instrument | None:
        """Return the instrument of a venue's symbol, or None."""
        return self._by_id.get(instrument_id(symbol, venue))

    def __getitem__(self, id_: str) -> Instrument:
        return self._by_id[id_]


def _equity(symbol: str, name: str) -> Instrument:
    # Regulation NMS 612 quotes in cents; off-exchange prints may carry four decimals.
    return Instrument(symbol=symbol, venue="US", name=name, calendar="XNYS", price_scale=4, tick=100)


def _coin(symbol: str, venue: str, name: str, price_scale: int = 2) -> Instrument:
    return Instrument(symbol=symbol, venue=venue, name=name, asset_class="crypto", price_scale=price_scale, qty_scale=8)


CATALOGUE = InstrumentTable(
    [
        _equity("SPY", "SPDR S&P 500 ETF"),
        _equity("BAC", "Bank of America"),
        _equity("IBM", "IBM"),
        _equity("AIG", "American International Group"),
        _equity("AAPL", "Apple"),
        _equity("GOOG", "Alphabet"),
        _equity("EEM", "iShares MSCI Emerging Markets ETF"),
        _equity("IWM", "iShares Russell 2000 ETF"),
        _equity("QQQ", "Invesco QQQ"),
        _equity("USO", "United States Oil Fund"),
        _coin("BTC-USD", "COINBASE", "Bitcoin"),
        _coin("BTC-PERP", "PERP", "Bitcoin perpetual", price_scale=1),
        _coin("BTC-USD", "SIM", "Bitcoin, simulated"),
        _coin("ETH-USD", "SIM", "Ether, simulated"),
        _coin("SOL-USD", "SIM", "Solana, simulated"),
        _coin("XRP-USD", "SIM", "XRP, simulated", price_scale=5),
        _coin("ADA-USD", "SIM", "Cardano, simulated", price_scale=5),
        _coin("DOGE-USD", "SIM", "Dogecoin, simulated", price_scale=6),
        _coin("BCH-USD", "SIM", "Bitcoin Cash, simulated"),
        _coin("TRX-USD", "SIM", "TRON, simulated", price_scale=6),
    ]
)
