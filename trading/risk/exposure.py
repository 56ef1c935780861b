"""What an account has and what it could come to have: cash, positions, and the exposure held for open orders.

Exposure is held when an order is approved, becomes a position with each fill, and is released when the order ends.
`raw` is price x quantity in the product of both scales: sums of it are exact. Valuation is derived from the market and
redone only for what has changed; it is no part of the state.
"""

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass, field
from typing import TypeAlias

from trading.risk.limits import cash_factors
from trading.risk.market import MarketView, Quote
from trading.risk.var import CENT, VarBook

# Strategy, instrument, side, quantity, type, limit and stop price: what makes two orders identical.
Signature: TypeAlias = tuple[str, str, int, int, str, int | None, int | None]


class ValuationError(ValueError):
    """A holding that cannot be valued. `code` is stable."""

    def __init__(self, code: str, instrument: str) -> None:
        super().__init__(f"{instrument}: {code}")
        self.code = code
        self.instrument = instrument


@dataclass(slots=True)
class Holding:
    """One instrument in one account. `cost` is what the open position has cost, negative for a short one."""

    instrument: str
    price_scale: int
    qty_scale: int
    qty: int = 0
    cost: int = 0
    realised: int = 0
    fees: int = 0
    buy_open: int = 0
    sell_open: int = 0
    buy_raw: int = 0
    sell_raw: int = 0
    # From here on derived: resting limit prices in order, and the valuation at `quote`.
    resting_buys: list[int] = field(default_factory=list)
    resting_sells: list[int] = field(default_factory=list)
    quote: Quote | None = None
    value: int = 0
    gross: int = 0
    mul: int = 1
    div: int = 1

    def __post_init__(self) -> None:
        self.mul, self.div = cash_factors(self.price_scale, self.qty_scale)

    def reserve(self, side: int, qty: int, raw: int) -> None:
        """Change what is held for open orders of one side."""
        if side > 0:
            self.buy_open += qty
            self.buy_raw += raw
        else:
            self.sell_open += qty
            self.sell_raw += raw
        assert self.buy_open >= 0, "more exposure was released than held"
        assert self.sell_open >= 0, "more exposure was released than held"
        self.quote = None

    def rest(self, side: int, price: int) -> None:
        """Note a resting limit price of our own."""
        insort(self.resting_buys if side > 0 else self.resting_sells, price)

    def unrest(self, side: int, price: int) -> None:
        """Forget a resting limit price of our own."""
        prices = self.resting_buys if side > 0 else self.resting_sells
        place = bisect_left(prices, price)
        assert prices[place] == price, "a resting price is noted once for each order"
        del prices[place]

    @property
    def idle(self) -> bool:
        """Say whether there is nothing to value."""
        return not (self.qty or self.buy_open or self.sell_open)


class Exposure:
    """One account as risk sees it."""

    __slots__ = (
        "_live",
        "_version",
        "cash",
        "currency",
        "gross",
        "holdings",
        "open_orders",
        "recent",
        "recent_order",
        "tat_ns",
        "value",
        "var",
    )

    def __init__(self, currency: str) -> None:
        self.currency = currency
        self.cash = 0
        self.holdings: dict[str, Holding] = {}
        self.open_orders = 0
        # The token bucket: the time up to which the message budget is spent.
        self.tat_ns = 0
        self.recent: dict[Signature, list[int]] = {}
        self.recent_order: deque[tuple[int, Signature]] = deque()
        self.value = 0
        self.gross = 0
        self.var: VarBook | None = None
        self._live: dict[str, Holding] = {}
        self._version = -1

    def holding(self, instrument: str, price_scale: int, qty_scale: int) -> Holding:
        """Return the holding of an instrument, made when it is first needed."""
        found = self.holdings.get(instrument)
        if found is None:
            found = self.holdings[instrument] = Holding(instrument, price_scale, qty_scale)
        return found

    def touch(self, holding: Holding) -> None:
        """Have a changed holding valued anew before the next check."""
        holding.quote = None
        self._live[holding.instrument] = holding
        self._version = -1

    def spend(self, ts_ns: int, gap_ns: int) -> None:
        """Take one message from the budget."""
        self.tat_ns = max(self.tat_ns, ts_ns) + gap_ns

    def note_order(self, signature: Signature, ts_ns: int, window_ns: int) -> None:
        """Remember an order for the repeated-order rule; forget those that have left the window."""
        times = self.recent.get(signature)
        if times is None:
            self.recent[signature] = [ts_ns]
        else:
            times.append(ts_ns)
        self.recent_order.append((ts_ns, signature))
        while self.recent_order[0][0] <= ts_ns - window_ns:
            _, oldest = self.recent_order.popleft()
            times = self.recent[oldest]
            del times[0]
            if not times:
                del self.recent[oldest]

    def revalue(self, market: MarketView, ts_ns: int, max_age_ns: int) -> None:
        """Bring value, gross exposure and VaR up to the market; raise `ValuationError` if an input is missing."""
        model = market.model
        if model is None:
            raise ValuationError("RISK_PARAMETERS_MISSING", "")
        if self.var is None or self.var.model is not model:
            self.var = VarBook(model)
            self._live = {name: holding for name, holding in self.holdings.items() if not holding.idle}
            self.value = self.gross = 0
            for holding in self.holdings.values():
                holding.value = holding.gross = 0
                holding.quote = None
            self._version = -1
        oldest = ts_ns - max_age_ns
        same = self._version == market.version
        quotes = market.quotes
        for name, holding in list(self._live.items()):
            quote = quotes.get(name)
            if quote is None:
                raise ValuationError("PRICE_MISSING", name)
            if quote.ts_ns < oldest:
                raise ValuationError("PRICE_STALE", name)
            if not same and quote is not holding.quote:
                self._value_one(name, holding, quote)
        self._version = market.version

    def _value_one(self, name: str, holding: Holding, quote: Quote) -> None:
        assert self.var is not None
        if name not in self.var.model.index:
            raise ValuationError("RISK_PARAMETERS_MISSING", name)
        mul, div = holding.mul, holding.div
        held = holding.qty * quote.mark
        value = held * mul // div
        gross = -(-max(held + holding.buy_raw, holding.sell_raw - held) * mul // div)
        self.var.update(name, (held + holding.buy_raw - holding.sell_raw) * mul // div // CENT)
        self.value += value - holding.value
        self.gross += gross - holding.gross
        holding.value, holding.gross = value, gross
        if holding.idle:
            del self._live[name]
            holding.quote = None
        else:
            holding.quote = quote
