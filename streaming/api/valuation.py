"""What an account is worth now, in cash of 1e-9: for showing, never for deciding. Without a price, cost stands in."""

import msgspec

from trading.amounts import notional
from trading.orders.state import Account
from trading.risk.exposure import Holding
from trading.risk.market import MarketView


class Worth(msgspec.Struct, frozen=True):
    """The sums of an account. `gross` counts open orders too, `held` only positions."""

    cash: int
    long: int
    short: int
    gross: int
    held: int
    margin_bps: int
    fees: int

    @property
    def equity(self) -> int:
        """Return cash plus what is held."""
        return self.cash + self.long + self.short

    @property
    def buying_power(self) -> int:
        """Return how much more exposure the margin allows, at least 0."""
        return max(0, self.equity * 10_000 // self.margin_bps - self.gross)


def mark_of(holding: Holding, market: MarketView) -> int | None:
    """Return the price at which a holding is marked."""
    quote = market.quotes.get(holding.instrument)
    return None if quote is None else quote.mark


def market_value(holding: Holding, market: MarketView) -> int:
    """Return the signed value of a position."""
    mark = mark_of(holding, market)
    if mark is None:
        return holding.cost
    return notional(mark, holding.qty, holding.price_scale, holding.qty_scale)


def worth(account: Account, market: MarketView) -> Worth:
    """Return the sums of an account at this market."""
    long = short = gross = held = fees = 0
    for holding in account.exposure.holdings.values():
        value = market_value(holding, market)
        long, short = (long + value, short) if value > 0 else (long, short + value)
        held += abs(value)
        buys = holding.buy_raw * holding.mul // holding.div
        sells = holding.sell_raw * holding.mul // holding.div
        gross += max(value + buys, sells - value, abs(value))
        fees += holding.fees
    margin_bps = 10_000 if account.limits is None else account.limits.body.margin_bps
    return Worth(account.exposure.cash, long, short, gross, held, margin_bps, fees)
