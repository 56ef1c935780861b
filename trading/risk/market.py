"""What risk knows of the world: an immutable view of prices, sessions, instruments and risk parameters."""

from collections.abc import Mapping

import msgspec

from trading.instruments import InstrumentTable
from trading.risk.var import RiskModel

DAY_NS = 86_400 * 10**9
ALWAYS_OPEN = "24/7"


class Quote(msgspec.Struct, frozen=True, gc=False):
    """The newest prices of one instrument in its scale. `mark` is the mid, or the last trade without two sides."""

    mark: int
    ts_ns: int
    bid: int | None = None
    ask: int | None = None
    last: int | None = None


def quote(ts_ns: int, bid: int | None = None, ask: int | None = None, last: int | None = None) -> Quote | None:
    """Return a quote, or None if there is no positive price to mark with. A crossed pair marks at the last trade."""
    if bid is not None and ask is not None and 0 < bid <= ask:
        return Quote((bid + ask) // 2, ts_ns, bid, ask, last)
    if last is not None and last > 0:
        return Quote(last, ts_ns, bid, ask, last)
    return None


class MarketView:
    """One moment of the market. A change makes a new view with the next version."""

    __slots__ = ("closes", "instruments", "model", "quotes", "version")

    def __init__(
        self,
        instruments: InstrumentTable,
        quotes: Mapping[str, Quote] | None = None,
        model: RiskModel | None = None,
        closes: Mapping[str, int] | None = None,
        version: int = 0,
    ) -> None:
        """Take quotes by instrument id, and the next session close in ns by calendar name."""
        self.instruments = instruments
        self.quotes: Mapping[str, Quote] = quotes or {}
        self.model = model
        self.closes: Mapping[str, int] = closes or {}
        self.version = version

    def with_quotes(self, changes: Mapping[str, Quote]) -> "MarketView":
        """Return a view with these quotes in place of the older ones."""
        return MarketView(self.instruments, {**self.quotes, **changes}, self.model, self.closes, self.version + 1)

    def with_model(self, model: RiskModel) -> "MarketView":
        """Return a view with other risk parameters."""
        return MarketView(self.instruments, self.quotes, model, self.closes, self.version + 1)

    def with_closes(self, closes: Mapping[str, int]) -> "MarketView":
        """Return a view with other session closes."""
        return MarketView(self.instruments, self.quotes, self.model, dict(closes), self.version + 1)

    def day_end_ns(self, calendar: str, ts_ns: int) -> int | None:
        """Return when a day order of this calendar ends: midnight UTC if it never closes, None if not known."""
        if calendar == ALWAYS_OPEN:
            return ts_ns - ts_ns % DAY_NS + DAY_NS
        close = self.closes.get(calendar)
        return close if close is not None and close > ts_ns else None
