"""The usual case in one look: a limit or market order, far from every limit, in an account that nothing restricts.

The screen only saves time. It may fail to see that an order passes, and then the rules are asked one by one; it never
lets through what a rule would refuse. A property test holds the two against each other.
"""

from collections.abc import Sequence

from trading.instruments import Instrument
from trading.risk.context import BPS, Draft, hold_price
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
        draft.stop_price is not None
        or draft.replacing
        or draft.reduce_only
        or controls.killed
        or controls.modes
        or not instrument.tradable
        or instrument.currency != account.currency
        or (price is not None and price % instrument.tick)
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
    hold = hold_price(draft, quote.mark, body.collar_bps)
    if side > 0:
        after, resting = holding.qty + holding.buy_open + qty, holding.resting_sells
    else:
        after, resting = holding.sell_open - holding.qty + qty, holding.resting_buys
        if after > 0 and not (body.short_allowed and instrument.shortable):
            return 0
    if (resting or price is not None) and _may_cross(price, side, quote.mark, body.collar_bps, resting):
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


def _may_cross(price: int | None, side: int, mark: int, collar_bps: int, resting: Sequence[int]) -> bool:
    """Say whether a price could meet an own order of the other side, or is beyond the collar."""
    if price is None:
        return True
    if side > 0:
        return price * BPS > mark * (BPS + collar_bps) or bool(resting and price >= resting[0])
    return price * BPS < mark * (BPS - collar_bps) or bool(resting and price <= resting[-1])
