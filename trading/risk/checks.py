"""The rules before a trade, one small function each. A rule returns None or the breach with its limit and value.

Every rule that depends on size lets an order pass that only reduces what the rule bounds, and if it passes a quantity,
it passes each smaller one: so the smallest `largest` of the broken rules is the largest quantity that passes them all.
"""

from collections.abc import Callable

from trading.events import Breach
from trading.risk import var
from trading.risk.context import BPS, Context
from trading.risk.exposure import ANY_BUY, ANY_SELL

Rule = Callable[[Context], Breach | None]


def kill_switch(c: Context) -> Breach | None:
    """Refuse everything while the kill switch is pulled."""
    if c.controls.killed:
        return Breach("KILL_SWITCH", "off", "on", message="the kill switch is pulled")
    return None


def trading_mode(c: Context) -> Breach | None:
    """Refuse what a halt covers; let only a reduction pass where the mode is reducing, or where the order says so."""
    if not (c.controls.modes or c.draft.reduce_only):
        return None
    mode, scope = c.controls.covering(c.draft.account, c.draft.strategy, c.draft.instrument)
    if mode == "halted":
        return Breach("TRADING_HALTED", "active", "halted", message=f"trading is halted by its {scope} mode")
    if mode == "active" and not c.draft.reduce_only:
        return None
    largest = c.whole_lots(-c.draft.side * c.holding.qty - c.open_qty)
    if c.draft.qty <= largest:
        return None
    said = "more than is held and not in open orders"
    if mode == "reducing":
        said = f"the {scope} mode lets only a position be reduced"
    return Breach("REDUCE_ONLY", largest, c.draft.qty, largest, said)


def tradable(c: Context) -> Breach | None:
    """Refuse an instrument that is known but not traded."""
    if c.instrument.tradable:
        return None
    return Breach("INSTRUMENT_NOT_TRADABLE", "tradable", c.draft.instrument, message="this instrument is not traded")


def currency(c: Context) -> Breach | None:
    """Refuse an instrument that is not priced in the account's currency."""
    if c.instrument.currency == c.account.currency:
        return None
    return Breach("CURRENCY_MISMATCH", c.account.currency, c.instrument.currency, message="another currency")


def price_increment(c: Context) -> Breach | None:
    """Refuse a price that is no multiple of the tick."""
    tick = c.instrument.tick
    for price in (c.draft.limit_price, c.draft.stop_price):
        if price is not None and price % tick:
            return Breach("PRICE_NOT_MULTIPLE_OF_TICK", tick, price, message="the price is not on the tick grid")
    return None


def qty_increment(c: Context) -> Breach | None:
    """Refuse a quantity that is no multiple of the lot."""
    lot = c.instrument.lot
    if c.draft.qty % lot:
        return Breach("QTY_NOT_MULTIPLE_OF_LOT", lot, c.draft.qty, c.whole_lots(c.draft.qty), "not whole lots")
    return None


def max_order_qty(c: Context) -> Breach | None:
    """Bound the quantity of one order."""
    limit = c.scale.max_order_qty
    if c.draft.qty <= limit:
        return None
    return Breach("MAX_ORDER_QTY", limit, c.draft.qty, c.whole_lots(limit), "the order is too large")


def max_order_value(c: Context) -> Breach | None:
    """Bound the value of one order at the price that it is held at."""
    limit = c.scale.max_order_raw
    if c.order <= limit:
        return None
    value = -(-c.order * c.holding.mul // c.holding.div)
    largest = c.whole_lots(limit // c.hold_price)
    return Breach("MAX_ORDER_VALUE", c.limits.max_order_value, value, largest, "the order is worth too much")


def price_collar(c: Context) -> Breach | None:
    """Refuse a limit price that would trade too far through the reference price."""
    price = c.draft.limit_price
    if price is None:
        return None
    stop, mark, bps = c.draft.stop_price, c.quote.mark, c.limits.body.collar_bps
    if c.draft.side > 0:
        bound = max(stop or 0, mark) * (BPS + bps) // BPS
        if price <= bound:
            return None
    else:
        bound = -(-min(stop or mark, mark) * (BPS - bps) // BPS)
        if price >= bound:
            return None
    return Breach("PRICE_COLLAR", bound, price, message="the limit price is too far from the market")


def max_position(c: Context) -> Breach | None:
    """Bound the position if every open order on this side were filled."""
    limit = c.scale.max_position_qty
    before = c.draft.side * c.holding.qty + c.open_qty
    after = before + c.draft.qty
    if after <= limit:
        return None
    return Breach("MAX_POSITION", limit, after, c.whole_lots(limit - before), "the position would be too large")


def concentration(c: Context) -> Breach | None:
    """Bound the share of equity in one instrument."""
    after = c.ahead + c.order
    if after <= 0:
        return None
    limit = max(0, c.equity * c.limits.body.concentration_bps // BPS)
    limit_raw = limit * c.holding.div // c.holding.mul
    if after <= limit_raw:
        return None
    value = -(-after * c.holding.mul // c.holding.div)
    return Breach("CONCENTRATION", limit, value, c.room(limit_raw), "too much of the equity in one instrument")


def buying_power(c: Context) -> Breach | None:
    """Bound the initial margin of everything held and open by the equity."""
    before = max(c.ahead + c.draft.freed_raw, c.behind)
    after = max(c.ahead + c.order, c.behind)
    allowed = max(c.allowed_raw, before)
    if after <= allowed:
        return None
    gross = c.account.gross - c.holding.gross - (-after * c.holding.mul // c.holding.div)
    needed = -(-gross * c.limits.body.margin_bps // BPS)
    return Breach("BUYING_POWER", c.equity, needed, c.room(allowed), "not enough buying power for the margin")


def short_sale(c: Context) -> Breach | None:
    """Refuse a sale beyond what is held where shorting is not allowed."""
    if c.draft.side > 0 or (c.limits.body.short_allowed and c.instrument.shortable):
        return None
    available = c.whole_lots(c.holding.qty - c.open_qty)
    if c.draft.qty <= available:
        return None
    return Breach("SHORT_RESTRICTED", available, c.draft.qty, available, "short sales are not allowed here")


def var_parametric(c: Context) -> Breach | None:
    """Bound the parametric VaR as if every open order were filled, or let it fall."""
    if c.var_is_safe:
        return None
    limit, name, book = c.limits.max_var_cents, c.draft.instrument, c.account.var_book()
    after, before = book.quad_after(name, c.var_change), book.quad_after(name, 0)
    if var.parametric_within(after, limit) or after <= before:
        return None
    largest = _largest(
        c,
        lambda change: var.parametric_within(quad := book.quad_after(name, change), limit) or quad <= before,
    )
    value = _cash(var.parametric(after))
    return Breach("VAR_PARAMETRIC", _cash(limit), value, largest, "the parametric VaR is too high")


def var_historical(c: Context) -> Breach | None:
    """Bound the historical VaR as if every open order were filled, or let it fall."""
    if c.var_is_safe:
        return None
    limit, name, book = c.limits.max_var_cents, c.draft.instrument, c.account.var_book()
    before = book.historical_after(name, 0)
    after = book.historical_after(name, c.var_change)
    if after <= max(limit, before):
        return None
    largest = _largest(c, lambda change: book.historical_after(name, change) <= max(limit, before))
    return Breach("VAR_HISTORICAL", _cash(limit), _cash(after), largest, "the historical VaR is too high")


def message_rate(c: Context) -> Breach | None:
    """Refuse a message when the account's budget is spent."""
    ahead_ns = c.account.tat_ns - c.draft.ts_ns
    if ahead_ns <= c.limits.message_burst_ns:
        return None
    return Breach("MESSAGE_RATE", c.limits.body.message_rate, ahead_ns, message="too many messages")


def repeated_order(c: Context) -> Breach | None:
    """Refuse the k-th identical order within the window."""
    times = c.account.recent.get(c.draft.signature)
    if times is None:
        return None
    count = c.limits.body.repeat_count
    if len(times) < count - 1 or times[1 - count] <= c.draft.ts_ns - c.limits.repeat_window_ns:
        return None
    return Breach("REPEATED_ORDER", count, len(times) + 1, message="the same order again and again")


def self_trade(c: Context) -> Breach | None:
    """Refuse an order that could trade with an open one of our own: the newest gives way."""
    price = c.draft.limit_price
    if c.draft.side > 0:
        resting = c.holding.resting_sells
        if not resting or (price is not None and price < resting[0]):
            return None
        return _own(resting[0], price, "sell")
    resting = c.holding.resting_buys
    if not resting or (price is not None and price > resting[-1]):
        return None
    return _own(resting[-1], price, "buy")


def _own(resting: int, price: int | None, side: str) -> Breach:
    limit = "market" if resting in (ANY_BUY, ANY_SELL) else resting
    return Breach("SELF_TRADE", limit, price or "market", message=f"it could trade with an own {side} order")


def open_orders(c: Context) -> Breach | None:
    """Bound the number of open orders of an account."""
    limit = c.limits.body.max_open_orders
    if c.account.open_orders < limit or c.draft.replacing:
        return None
    return Breach("MAX_OPEN_ORDERS", limit, c.account.open_orders + 1, message="too many open orders")


def _largest(c: Context, passes: Callable[[int], bool]) -> int:
    low, high = 0, c.draft.qty // c.instrument.lot + 1
    while high - low > 1:
        middle = (low + high) // 2
        if passes(c.var_change_of(middle * c.instrument.lot)):
            low = middle
        else:
            high = middle
    return low * c.instrument.lot


def _cash(cents: int) -> int:
    return cents * var.CENT


RULES: tuple[Rule, ...] = (
    kill_switch,
    trading_mode,
    tradable,
    currency,
    price_increment,
    qty_increment,
    max_order_qty,
    max_order_value,
    price_collar,
    max_position,
    concentration,
    buying_power,
    short_sale,
    var_parametric,
    var_historical,
    message_rate,
    repeated_order,
    self_trade,
    open_orders,
)
