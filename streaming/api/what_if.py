"""What the risk gate would say to an order, and why; nothing is changed by asking."""

import msgspec

from streaming.api.errors import ApiError, describe, status_of
from streaming.api.operations import Call, Operation
from streaming.api.order_models import OrderWish
from streaming.api.orders import instrument_of, submission
from trading.amounts import CASH_SCALE, to_text
from trading.instruments import Instrument
from trading.orders.drafts import Malformed, draft_of_submit, too_late
from trading.orders.state import Account, State
from trading.risk.context import Draft
from trading.risk.controls import Controls
from trading.risk.gate import Approved, WhatIf, check, what_if
from trading.risk.market import MarketView

MAX_PROBES = 64


class BrokenRule(msgspec.Struct, frozen=True):
    """One rule that the order would break, with the largest quantity that this rule lets pass."""

    code: str
    message: str
    limit: str
    value: str
    largest: str


class RiskAnswer(msgspec.Struct, frozen=True):
    """The verdict and the figures around it. Amounts are decimal texts; VaR is at 99 % over 30 days."""

    passes: bool
    code: str | None
    breaches: list[BrokenRule]
    largest: str
    headroom: str
    equity: str
    gross: str
    buying_power: str
    var_limit: str
    var_before: str
    var_after: str
    var_historical_before: str
    var_historical_after: str
    open_orders: int
    max_open_orders: int
    limits_version: int
    market_version: int


async def ask(call: Call) -> RiskAnswer:
    """Check an order as it would be checked now. `largest` is the largest quantity that would pass every rule."""
    instrument = instrument_of(call, call.body.symbol)
    command = submission(call, call.body, instrument)
    desk = call.services.desk
    market = desk.market
    draft = draft_of_submit(msgspec.structs.replace(command, ts_ns=desk.now_ns()), market)
    if isinstance(draft, Malformed):
        raise ApiError(status_of(draft.code), draft.code, draft.message)
    late = too_late(draft, command.expire_ts_ns)
    if late is not None:
        raise ApiError(status_of(late.code), late.code, late.message)

    def look(state: State) -> RiskAnswer:
        account = state.accounts.get(call.key.account)
        if account is None:
            raise ApiError(404, "ACCOUNT_UNKNOWN", "the account of this key has not been opened")
        told = what_if(draft, account.exposure, account.limits, state.controls, market)
        return _answer(
            told,
            account,
            instrument,
            draft,
            largest(draft, instrument, account, state.controls, market),
            market.version,
        )

    return await desk.read(call.key.account, look)


def largest(draft: Draft, instrument: Instrument, account: Account, controls: Controls, market: MarketView) -> int:
    """Return the largest quantity that passes every rule: if one passes, each smaller one in whole lots does too."""

    def passes(lots: int) -> bool:
        tried = msgspec.structs.replace(draft, qty=lots * instrument.lot)
        return isinstance(check(tried, account.exposure, account.limits, controls, market), Approved)

    if account.limits is None or not passes(1):
        return 0
    low, high = 1, account.limits.of(instrument, instrument.id).max_order_qty // instrument.lot + 1
    for _ in range(MAX_PROBES):
        if high - low <= 1:
            break
        middle = (low + high) // 2
        low, high = (middle, high) if passes(middle) else (low, middle)
    return low * instrument.lot


def _answer(
    told: WhatIf, account: Account, instrument: Instrument, draft: Draft, most: int, market_version: int
) -> RiskAnswer:
    verdict, limits = told.verdict, account.limits
    breaches = () if isinstance(verdict, Approved) else verdict.breaches
    scale = instrument.qty_scale
    return RiskAnswer(
        not breaches,
        breaches[0].code if breaches else None,
        [BrokenRule(**describe(breach, instrument)) for breach in breaches],
        to_text(most, scale),
        to_text(max(0, most - draft.qty), scale),
        _cash(told.equity),
        _cash(told.gross),
        _cash(told.buying_power),
        "0" if limits is None else limits.body.max_var,
        _cash(told.var_before),
        _cash(told.var_after),
        _cash(told.var_historical_before),
        _cash(told.var_historical_after),
        account.exposure.open_orders,
        0 if limits is None else limits.body.max_open_orders,
        0 if limits is None else limits.version,
        market_version,
    )


def _cash(amount: int) -> str:
    return to_text(amount, CASH_SCALE)


OPERATIONS = (
    Operation(
        "POST", "/v1/risk/check", "Ask what risk would say", "read", ask, RiskAnswer, body=OrderWish, errors=(404,)
    ),
)
