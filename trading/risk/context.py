"""One order under check, with every figure that more than one rule needs."""

import msgspec

from trading.commands import OrderType, TimeInForce
from trading.instruments import Instrument
from trading.risk.controls import Controls
from trading.risk.exposure import Exposure, Signature
from trading.risk.limits import Limits, to_raw
from trading.risk.market import MarketView, Quote
from trading.risk.var import CENT

BPS = 10_000


class Draft(msgspec.Struct, frozen=True, gc=False):
    """An order that nobody has approved yet. `side` is 1 or -1.

    Of a replacement, `qty` is what is still to be traded, `done` what was, and `freed_*` what the old order holds.
    """

    account: str
    instrument: str
    side: int
    qty: int
    type: OrderType
    tif: TimeInForce
    ts_ns: int
    limit_price: int | None = None
    stop_price: int | None = None
    strategy: str = ""
    freed_qty: int = 0
    freed_raw: int = 0
    replacing: bool = False
    done: int = 0
    reduce_only: bool = False

    @property
    def signature(self) -> Signature:
        """Return what the repeated-order rule compares."""
        qty = self.qty + self.done
        return (self.strategy, self.instrument, self.side, qty, self.type, self.limit_price, self.stop_price)


class Context:
    """A draft beside the account, the limits, the controls and the market that it is checked against.

    `ahead` is the exposure on the order's side before it, `behind` on the other side, both raw; `order` is its own.
    """

    __slots__ = (
        "account",
        "ahead",
        "allowed_raw",
        "behind",
        "controls",
        "draft",
        "equity",
        "hold_price",
        "holding",
        "instrument",
        "limits",
        "market",
        "open_qty",
        "order",
        "quote",
        "scale",
        "var_change",
        "var_is_safe",
    )

    def __init__(
        self,
        draft: Draft,
        instrument: Instrument,
        account: Exposure,
        limits: Limits,
        controls: Controls,
        market: MarketView,
        quote: Quote,
    ) -> None:
        """Take an account that has just been valued at this market."""
        self.draft = draft
        self.instrument = instrument
        self.account = account
        self.limits = limits
        self.controls = controls
        self.market = market
        self.quote = quote
        self.scale = limits.of(instrument, draft.instrument)
        holding = account.peek(draft.instrument, instrument.price_scale, instrument.qty_scale)
        self.holding = holding
        side = draft.side
        self.hold_price = hold_price(draft, quote.mark, limits.body.collar_bps)
        held = side * holding.qty * quote.mark
        if side > 0:
            self.open_qty = holding.buy_open - draft.freed_qty
            self.ahead = held + holding.buy_raw - draft.freed_raw
            self.behind = holding.sell_raw - held
        else:
            self.open_qty = holding.sell_open - draft.freed_qty
            self.ahead = held + holding.sell_raw - draft.freed_raw
            self.behind = holding.buy_raw - held
        self.order = draft.qty * self.hold_price
        self.equity = account.cash + account.value
        # What margin leaves for this instrument when everything else keeps its gross exposure.
        margin_cash = self.equity * BPS // limits.body.margin_bps - (account.gross - holding.gross)
        self.allowed_raw = to_raw(margin_cash, holding.mul, holding.div)
        self.var_change = self.var_change_of(draft.qty)
        # The book is brought up to date only where gross exposure does not already answer.
        self.var_is_safe = account.gross_keeps_var_within(
            abs(self.var_change) * CENT, limits.max_var_cents
        ) or account.var_book().surely_within(draft.instrument, self.var_change, limits.max_var_cents)

    def var_change_of(self, qty: int) -> int:
        """Return the change of the VaR exposure in cents if the order had this quantity."""
        raw = self.draft.side * (qty * self.hold_price - self.draft.freed_raw)
        return raw * self.holding.mul // self.holding.div // CENT

    def room(self, limit_raw: int) -> int:
        """Return the largest quantity, in whole lots, that keeps the exposure ahead within a raw limit."""
        lot = self.instrument.lot
        return max(0, (limit_raw - self.ahead) // self.hold_price // lot * lot)

    def whole_lots(self, qty: int) -> int:
        """Return the quantity cut down to lots, not below zero."""
        return max(0, qty // self.instrument.lot * self.instrument.lot)


def hold_price(draft: Draft, mark: int, collar_bps: int) -> int:
    """Return the price at which exposure is held: the worst one that the order may trade at, or its mark if higher."""
    limit, stop = draft.limit_price, draft.stop_price
    if limit is not None:
        return limit if draft.side > 0 else max(limit, mark)
    reference = mark if stop is None else max(stop, mark)
    return -(-reference * (BPS + collar_bps) // BPS)
