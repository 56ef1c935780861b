"""The usual case in one look: a plain limit order, far from every limit, in an account that nothing restricts.

The screen only saves time. It may fail to see that an order passes, and then the rules are asked one by one; it never
lets through what a rule would refuse. A property test holds the two against each other.
"""

from trading.instruments import Instrument
from trading.risk.context import BPS, Draft
from trading.risk.controls import Controls
from trading.risk.exposure import Exposure
from trading.risk.limits import Limits
from trading.risk.market import Quote


def hold_price_if_safe(
    draft: Draft, instrument: Instrument, account: Exposure, limits: Limits, controls: Controls, quote: Quote
) -> int:
    """Return the price to hold a plain order at when every rule surely passes, 0 when the rules must be asked.

    The account must have been valued at the market of the quote.
    """
    price, side, qty, body = draft.limit_price, draft.side, draft.qty, limits.body
    if (
        price is None
        or draft.stop_price is not None
        or draft.replacing
        or controls.killed
        or controls.modes
        or not instrument.tradable
        or instrument.currency != account.currency
        or price % instrument.tick
        or qty % instrument.lot
        or account.open_orders >= body.max_open_orders
        or account.tat_ns - draft.ts_ns > limits.message_burst_ns
        # Fewer orders in all than the rule counts of one kind need no look at their kinds.
        or (
            len(account.recent_order) + 1 >= body.repeat_count
            and len(account.recent.get(draft.signature, ())) + 1 >= body.repeat_count
        )
    ):
        return 0
    holding = account.peek(draft.instrument, instrument.price_scale, instrument.qty_scale)
    mark = quote.mark
    if side > 0:
        hold, after = price, holding.qty + holding.buy_open + qty
        resting = holding.resting_sells
        if price * BPS > mark * (BPS + body.collar_bps) or (resting and price >= resting[0]):
            return 0
    else:
        hold, after = max(price, mark), holding.sell_open - holding.qty + qty
        resting = holding.resting_buys
        if price * BPS < mark * (BPS - body.collar_bps) or (resting and price <= resting[-1]):
            return 0
        if after > 0 and not (body.short_allowed and instrument.shortable):
            return 0
    scale = limits.of(instrument, draft.instrument)
    if qty > scale.max_order_qty or after > scale.max_position_qty:
        return 0
    # The exposure of a holding is that of its worse side: an order adds no more than its own value.
    added = -(-qty * hold * holding.mul // holding.div)
    equity = account.cash + account.value
    if (
        added > limits.max_order_value
        or (holding.gross + added) * BPS > equity * body.concentration_bps
        or (account.gross + added) * body.margin_bps > equity * BPS
        or not (
            account.gross_keeps_var_within(added, limits.max_var_cents)
            or account.book_keeps_var_within(draft.instrument, added, limits.max_var_cents)
        )
    ):
        return 0
    return hold
