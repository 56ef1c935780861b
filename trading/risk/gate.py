"""The gate: the only place that makes an `Approved`. Every rule is asked; any doubt, of any kind, refuses."""

import msgspec

from trading.events import Breach, RiskInputs
from trading.instruments import Instrument
from trading.risk import var
from trading.risk.checks import RULES
from trading.risk.context import Context, Draft
from trading.risk.controls import Controls
from trading.risk.exposure import Exposure, ValuationError
from trading.risk.limits import Limits
from trading.risk.market import MarketView, Quote
from trading.risk.screen import hold_price_if_safe

# A price from further in the future than this means that two clocks disagree.
FUTURE_TOLERANCE_NS = 5 * 10**9


class Approved(msgspec.Struct, frozen=True, gc=False):
    """A draft that passed every rule, the price to hold it at, and the inputs that were used."""

    draft: Draft
    instrument: Instrument
    hold_price: int
    inputs: RiskInputs


class Refused(msgspec.Struct, frozen=True, gc=False):
    """Every rule that the draft breaks, and the largest quantity that would pass them all."""

    breaches: tuple[Breach, ...]
    largest: int = 0

    @property
    def code(self) -> str:
        """Return the code of the first broken rule."""
        return self.breaches[0].code


class WhatIf(msgspec.Struct, frozen=True, gc=False):
    """The answer to "what if": the verdict and the figures around it, cash in 1e-9."""

    verdict: Approved | Refused
    equity: int = 0
    gross: int = 0
    buying_power: int = 0
    var_before: int = 0
    var_after: int = 0
    var_historical_before: int = 0
    var_historical_after: int = 0


def check(
    draft: Draft, account: Exposure, limits: Limits | None, controls: Controls, market: MarketView
) -> Approved | Refused:
    """Return the verdict on a draft. It changes no state; a valuation may be brought up to date."""
    try:
        inputs = _inputs(draft, account, limits, market)
        if isinstance(inputs, Refused):
            return _with_kill(inputs, controls)
        instrument, quote, known = inputs
        hold_price = hold_price_if_safe(draft, instrument, account, known, controls, quote)
        if hold_price:
            return _approved(draft, instrument, hold_price, account, known, market, quote)
        return _verdict(Context(draft, instrument, account, known, controls, market, quote))
    except ValuationError as error:
        where = error.instrument or "the account"
        return _with_kill(_missing(error.code, where, f"{where} cannot be valued: {error.code}"), controls)
    except Exception as error:  # noqa: BLE001 - whatever fails inside a rule, the order does not pass
        failed = _missing("RISK_FAILED", type(error).__name__, "a risk rule failed; nothing passes until it works")
        return _with_kill(failed, controls)


def what_if(draft: Draft, account: Exposure, limits: Limits | None, controls: Controls, market: MarketView) -> WhatIf:
    """Return the verdict with equity, buying power and VaR before and after."""
    verdict = check(draft, account, limits, controls, market)
    try:
        inputs = _inputs(draft, account, limits, market)
        if isinstance(inputs, Refused):
            return WhatIf(verdict)
        instrument, quote, known = inputs
        context = Context(draft, instrument, account, known, controls, market, quote)
        name, change, book = draft.instrument, context.var_change, account.var_book()
        power = context.equity * 10_000 // context.limits.body.margin_bps - account.gross
        return WhatIf(
            verdict,
            context.equity,
            account.gross,
            power,
            var.CENT * book.parametric_after(name, 0),
            var.CENT * book.parametric_after(name, change),
            var.CENT * book.historical_after(name, 0),
            var.CENT * book.historical_after(name, change),
        )
    except Exception:  # noqa: BLE001 - the verdict already says what is missing
        return WhatIf(verdict)


def _inputs(
    draft: Draft, account: Exposure, limits: Limits | None, market: MarketView
) -> tuple[Instrument, Quote, Limits] | Refused:
    instrument = market.instruments.get(draft.instrument)
    if instrument is None:
        return _missing("INSTRUMENT_UNKNOWN", draft.instrument, "no such instrument")
    if limits is None:
        return _missing("LIMITS_MISSING", "missing", "the account has no limits")
    quote = market.quotes.get(draft.instrument)
    if quote is None:
        return _missing("PRICE_MISSING", draft.instrument, "there is no price for this instrument yet")
    age_ns = draft.ts_ns - quote.ts_ns
    if not -FUTURE_TOLERANCE_NS <= age_ns <= limits.price_max_age_ns:
        return Refused((Breach("PRICE_STALE", limits.price_max_age_ns, age_ns, message="the price is too old"),))
    if quote.mark <= 0 or draft.qty <= 0:
        return _missing("RISK_FAILED", "not positive", "price and quantity must be positive")
    if market.model is None or draft.instrument not in market.model.index:
        return _missing("RISK_PARAMETERS_MISSING", draft.instrument, "no risk parameters for this instrument")
    account.revalue(market, draft.ts_ns, limits.valuation_max_age_ns)
    return instrument, quote, limits


def _verdict(context: Context) -> Approved | Refused:
    breaches: list[Breach] = []
    for rule in RULES:
        breach = rule(context)
        if breach is not None:
            breaches.append(breach)
    if breaches:
        largest = min(breach.largest for breach in breaches)
        return Refused(tuple(breaches), largest)
    c = context
    return _approved(c.draft, c.instrument, c.hold_price, c.account, c.limits, c.market, c.quote)


def _approved(
    draft: Draft,
    instrument: Instrument,
    hold_price: int,
    account: Exposure,
    limits: Limits,
    market: MarketView,
    quote: Quote,
) -> Approved:
    equity = account.cash + account.value
    inputs = RiskInputs(quote.mark, quote.ts_ns, market.version, limits.version, equity, account.gross)
    return Approved(draft, instrument, hold_price, inputs)


def _with_kill(refused: Refused, controls: Controls) -> Refused:
    if not controls.killed:
        return refused
    return Refused((Breach("KILL_SWITCH", "off", "on", message="the kill switch is pulled"), *refused.breaches))


def _missing(code: str, value: str, message: str) -> Refused:
    return Refused((Breach(code, "present", value, message=message),))
