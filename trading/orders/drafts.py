"""From a client's words to a draft in integers. What has no meaning is refused with a code before risk is asked."""

import msgspec

from trading.amounts import AmountError, parse_exact
from trading.commands import OrderType, ReplaceOrder, SubmitOrder, TimeInForce
from trading.instruments import Instrument
from trading.orders.state import OrderRow
from trading.risk.context import Draft
from trading.risk.market import MarketView

MAX_ID_LENGTH = 128
NEEDS_LIMIT: frozenset[OrderType] = frozenset({"limit", "stop_limit"})
NEEDS_STOP: frozenset[OrderType] = frozenset({"stop", "stop_limit"})
IMMEDIATE: frozenset[TimeInForce] = frozenset({"ioc", "fok"})


class Malformed(msgspec.Struct, frozen=True, gc=False):
    """Why a command has no meaning: a stable code and a sentence."""

    code: str
    message: str


class _BadError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.malformed = Malformed(code, message)


def draft_of_submit(command: SubmitOrder, market: MarketView) -> Draft | Malformed:
    """Return the draft of a new order, or what is wrong with it."""
    try:
        _require_id("client_order_id", command.client_order_id)
        instrument = _instrument(command.instrument, market)
        price_scale = instrument.price_scale
        _require_shape(command.type, command.limit_price, command.stop_price)
        _require_time(command.tif, command.type, command.expire_ts_ns)
        return Draft(
            command.account,
            command.instrument,
            1 if command.side == "buy" else -1,
            _positive("qty", command.qty, instrument.qty_scale),
            command.type,
            command.tif,
            command.ts_ns,
            None if command.limit_price is None else _positive("limit_price", command.limit_price, price_scale),
            None if command.stop_price is None else _positive("stop_price", command.stop_price, price_scale),
            command.strategy,
            reduce_only=command.reduce_only,
        )
    except _BadError as bad:
        return bad.malformed


def draft_of_replace(command: ReplaceOrder, row: OrderRow, market: MarketView) -> Draft | Malformed:
    """Return the draft of the order that is to stand in place of an open one, or what is wrong with it."""
    intent = row.intent
    try:
        _require_id("client_order_id", command.client_order_id)
        instrument = _instrument(intent.instrument, market)
        limit = _price("limit_price", command.limit_price, instrument)
        stop = _price("stop_price", command.stop_price, instrument)
        if limit is not None and intent.type not in NEEDS_LIMIT:
            raise _BadError("LIMIT_PRICE_NOT_ALLOWED", f"a {intent.type} order has no limit price")
        if stop is not None and intent.type not in NEEDS_STOP:
            raise _BadError("STOP_PRICE_NOT_ALLOWED", f"a {intent.type} order has no stop price")
        qty = intent.qty
        if command.qty is not None:
            qty = _positive("qty", command.qty, instrument.qty_scale)
        tif = command.tif or intent.tif
        _require_time(tif, intent.type, intent.asked_expire_ts_ns if tif == "gtd" else None)
        return Draft(
            intent.account,
            intent.instrument,
            row.side,
            qty,
            intent.type,
            tif,
            command.ts_ns,
            intent.limit_price if limit is None else limit,
            intent.stop_price if stop is None else stop,
            intent.strategy,
            row.held_qty,
            row.held_raw,
            True,
        )
    except _BadError as bad:
        return bad.malformed


def too_late(draft: Draft, asked_ns: int | None) -> Malformed | None:
    """Return the refusal of a new gtd order whose time has passed; a repetition of an old one is still known."""
    if asked_ns is None or asked_ns > draft.ts_ns:
        return None
    return Malformed("EXPIRE_TIME_PAST", "the expiry time has passed")


def expiry_of(
    draft: Draft, asked_ns: int | None, calendar: str, timeout_ns: int, market: MarketView
) -> int | Malformed | None:
    """Return when the order ends by itself, None for never; the account's own timeout counts too."""
    end: int | None = None
    if draft.tif == "gtd":
        end = asked_ns
    elif draft.tif == "day":
        end = market.day_end_ns(calendar, draft.ts_ns)
        if end is None:
            return Malformed("SESSION_UNKNOWN", f"the session of calendar {calendar} is not known")
    if timeout_ns:
        latest = draft.ts_ns + timeout_ns
        end = latest if end is None else min(end, latest)
    return end


def _instrument(id_: str, market: MarketView) -> Instrument:
    instrument = market.instruments.get(id_)
    if instrument is None:
        raise _BadError("INSTRUMENT_UNKNOWN", f"there is no instrument {id_!r}")
    return instrument


def _require_id(field: str, text: str) -> None:
    if not 0 < len(text) <= MAX_ID_LENGTH or not text.isascii() or not text.isprintable():
        raise _BadError("CLIENT_ORDER_ID_INVALID", f"{field} must be 1 to {MAX_ID_LENGTH} printable ASCII characters")


def _require_shape(type_: OrderType, limit: str | None, stop: str | None) -> None:
    if type_ == "limit" and limit is not None and stop is None:
        return
    if type_ in NEEDS_LIMIT and limit is None:
        raise _BadError("LIMIT_PRICE_MISSING", f"a {type_} order needs a limit price")
    if type_ not in NEEDS_LIMIT and limit is not None:
        raise _BadError("LIMIT_PRICE_NOT_ALLOWED", f"a {type_} order has no limit price")
    if type_ in NEEDS_STOP and stop is None:
        raise _BadError("STOP_PRICE_MISSING", f"a {type_} order needs a stop price")
    if type_ not in NEEDS_STOP and stop is not None:
        raise _BadError("STOP_PRICE_NOT_ALLOWED", f"a {type_} order has no stop price")


def _require_time(tif: TimeInForce, type_: OrderType, expire_ns: int | None) -> None:
    if tif == "gtd":
        if expire_ns is None:
            raise _BadError("EXPIRE_TIME_MISSING", "a gtd order needs an expiry time")
    elif expire_ns is not None:
        raise _BadError("EXPIRE_TIME_NOT_ALLOWED", "only a gtd order has an expiry time")
    if tif in IMMEDIATE and type_ in NEEDS_STOP:
        raise _BadError("TIF_NOT_ALLOWED", f"a {type_} order cannot be {tif}")


def _price(field: str, text: str | None, instrument: Instrument) -> int | None:
    return None if text is None else _positive(field, text, instrument.price_scale)


def _positive(field: str, text: str, scale: int) -> int:
    try:
        amount = parse_exact(text, scale)
    except AmountError as error:
        raise _BadError(f"{field.upper()}_{error.code}", f"{field}: {error}") from None
    if amount <= 0:
        raise _BadError(f"{field.upper()}_NOT_POSITIVE", f"{field} must be above zero")
    return amount
