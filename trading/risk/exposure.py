"""What an account has and what it could come to have: cash, positions, and the exposure held for open orders.

Exposure is held when an order is approved, becomes a position with each fill, and is released when the order ends.
`raw` is price x quantity in the product of both scales: sums of it are exact. Valuation is derived from the market and
redone only for what has changed; it is no part of the state.
"""

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass, field
from typing import TypeAlias

from trading.amounts import INT64_MAX
from trading.risk.limits import cash_factors
from trading.risk.market import MarketView, Quote
from trading.risk.var import CENT, RETURN_SCALE, RiskModel, VarBook

# Strategy, instrument, side, quantity, type, limit and stop price: what makes two orders identical.
Signature: TypeAlias = tuple[str, str, int, int, str, int | None, int | None]
# The resting price of an open market order: it takes any.
ANY_BUY = INT64_MAX
ANY_SELL = 0


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
    # From here on derived: the prices of open orders in order, and the valuation at `quote`.
    resting_buys: list[int] = field(default_factory=list)
    resting_sells: list[int] = field(default_factory=list)
    quote: Quote | None = None
    value: int = 0
    gross: int = 0
    mul: int = 1
    div: int = 1
    # The worst move of the instrument in the risk model, 0 without one.
    spread: int = 0

    def __post_init__(self) -> None:
        self.mul, self.div = cash_factors(self.price_scale, self.qty_scale)

    def reserve(self, side: int, qty: int, raw: int) -> None:
        """Change what is held for open orders of one side."""
        if side > 0:
            self.buy_open += qty
            self.buy_raw += raw
            assert self.buy_open >= 0, "more exposure was released than held"
        else:
            self.sell_open += qty
            self.sell_raw += raw
            assert self.sell_open >= 0, "more exposure was released than held"

    def rest(self, side: int, price: int) -> None:
        """Note the price of an open order of our own."""
        insort(self.resting_buys if side > 0 else self.resting_sells, price)

    def unrest(self, side: int, price: int) -> None:
        """Forget the price of an open order of our own."""
        prices = self.resting_buys if side > 0 else self.resting_sells
        place = bisect_left(prices, price)
        assert prices[place] == price, "a resting price is noted once for each order"
        del prices[place]

    @property
    def idle(self) -> bool:
        """Say whether there is nothing to value."""
        return not (self.qty or self.buy_open or self.sell_open)

    def revalue(self, quote: Quote) -> None:
        """Bring value and gross exposure to a quote: the value rounded down, the exposure rounded up."""
        held = self.qty * quote.mark
        buys, sells = held + self.buy_raw, self.sell_raw - held
        worst = buys if buys > sells else sells
        if self.div == 1:
            self.value, self.gross = held * self.mul, worst * self.mul
        else:
            self.value, self.gross = held // self.div, -(-worst // self.div)
        self.quote = quote

    @property
    def var_cents(self) -> int:
        """Return the VaR exposure of the last valuation, open orders counted as filled."""
        assert self.quote is not None, "a holding is valued before its VaR is asked for"
        return (self.qty * self.quote.mark + self.buy_raw - self.sell_raw) * self.mul // self.div // CENT


class Exposure:
    """One account as risk sees it."""

    __slots__ = (
        "_book",
        "_empty",
        "_live",
        "_model",
        "_oldest_ns",
        "_version",
        "_worst_spread",
        "cash",
        "currency",
        "gross",
        "holdings",
        "open_orders",
        "recent",
        "recent_order",
        "tat_ns",
        "value",
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
        self._book: VarBook | None = None
        self._model: RiskModel | None = None
        self._live: dict[str, Holding] = {}
        self._empty: dict[str, Holding] = {}
        self._worst_spread = 0
        # The market version of the valuation, and its oldest price.
        self._version = -1
        self._oldest_ns = 0

    def holding(self, instrument: str, price_scale: int, qty_scale: int) -> Holding:
        """Return the holding of an instrument, made when it is first needed."""
        found = self.holdings.get(instrument)
        if found is None:
            found = self.holdings[instrument] = self.peek(instrument, price_scale, qty_scale)
            del self._empty[instrument]
        return found

    def peek(self, instrument: str, price_scale: int, qty_scale: int) -> Holding:
        """Return the holding of an instrument, or an empty one that is no part of the state."""
        found = self.holdings.get(instrument) or self._empty.get(instrument)
        if found is None:
            found = self._empty[instrument] = Holding(instrument, price_scale, qty_scale)
            self._note_spread(found)
        return found

    def touch(self, holding: Holding) -> None:
        """Have a changed holding valued anew before the next check."""
        self._version = -1
        if holding.qty or holding.buy_open or holding.sell_open:
            holding.quote = None
            self._live[holding.instrument] = holding
        else:
            holding.value = holding.gross = 0
            self._live.pop(holding.instrument, None)

    def spend(self, ts_ns: int, gap_ns: int) -> None:
        """Take one message from the budget."""
        self.tat_ns = (self.tat_ns if self.tat_ns > ts_ns else ts_ns) + gap_ns

    def note_order(self, signature: Signature, ts_ns: int, window_ns: int) -> None:
        """Remember an order for the repeated-order rule; forget those that have left the window.

        After the clock has gone back, at a take-over, time stands still here until it has caught up.
        """
        recent, order = self.recent, self.recent_order
        if order and order[-1][0] > ts_ns:
            ts_ns = order[-1][0]
        times = recent.get(signature)
        if times is None:
            recent[signature] = [ts_ns]
        else:
            times.append(ts_ns)
        order.append((ts_ns, signature))
        gone_ns = ts_ns - window_ns
        while order[0][0] <= gone_ns:
            _, oldest = order.popleft()
            times = recent[oldest]
            del times[0]
            if not times:
                del recent[oldest]

    def revalue(self, market: MarketView, ts_ns: int, max_age_ns: int) -> None:
        """Bring value and gross exposure up to the market; raise `ValuationError` if an input is missing."""
        if market.model is not self._model or self._model is None:
            self._start_over(market.model)
        if market.version == self._version and self._oldest_ns >= ts_ns - max_age_ns:
            return
        self._version = -1
        quotes, oldest_ns = market.quotes, ts_ns
        value = gross = 0
        for name, holding in self._live.items():
            quote = quotes.get(name)
            if quote is None:
                raise ValuationError("PRICE_MISSING", name)
            if quote.ts_ns < oldest_ns:
                oldest_ns = quote.ts_ns
                if oldest_ns < ts_ns - max_age_ns:
                    raise ValuationError("PRICE_STALE", name)
            if quote is not holding.quote:
                if not holding.spread:
                    raise ValuationError("RISK_PARAMETERS_MISSING", name)
                holding.revalue(quote)
            value += holding.value
            gross += holding.gross
        self.value, self.gross = value, gross
        self._version, self._oldest_ns = market.version, oldest_ns

    def gross_keeps_var_within(self, added: int, limit_cents: int) -> bool:
        """Say that VaR is within a limit because gross exposure, with `added` by an order, shows it."""
        # Each exposure in cents is rounded apart: one cent for each holding and one for the order covers that.
        cents = (self.gross + added) // CENT + len(self._live) + 1
        return cents * self._worst_spread <= limit_cents * RETURN_SCALE

    def book_keeps_var_within(self, instrument: str, added: int, limit_cents: int) -> bool:
        """Say that VaR is within a limit because the drift of the book, `added` by an order included, shows it."""
        return self.var_book().surely_within(instrument, added // CENT + 1, limit_cents)

    def var_book(self) -> VarBook:
        """Return the VaR book of the last valuation."""
        assert self._model is not None, "an account is valued before its VaR is asked for"
        if self._book is None:
            self._book = VarBook(self._model)
        self._book.replace({name: holding.var_cents for name, holding in self._live.items()})
        return self._book

    def _start_over(self, model: RiskModel | None) -> None:
        if model is None:
            raise ValuationError("RISK_PARAMETERS_MISSING", "")
        self._model, self._book = model, None
        self._version, self._worst_spread = -1, 0
        self._empty.clear()
        for holding in self.holdings.values():
            self._note_spread(holding)
            self.touch(holding)

    def _note_spread(self, holding: Holding) -> None:
        model, name = self._model, holding.instrument
        holding.spread = 0 if model is None or name not in model.index else model.spread_of(name)
        self._worst_spread = max(self._worst_spread, holding.spread)
