"""Errors for clients: HTTP status and stable code of each refusal, in Alpaca's shape under /v2 and in ours elsewhere.

A client never sees a trace, and bad input is never a 5xx.
"""

from typing import Any

import msgspec

from streaming.owner.desk import RETRY_AFTER_S, DeskError, NotOwner
from trading.amounts import CASH_SCALE, to_text
from trading.events import Breach, CommandRefused, OrderRefused
from trading.instruments import Instrument

MESSAGE_RATE_RETRY_S = 1
NOT_FOUND = frozenset(
    {"ORDER_UNKNOWN", "ACCOUNT_UNKNOWN", "POSITION_UNKNOWN", "ASSET_UNKNOWN", "NOT_FOUND", "LIMITS_UNKNOWN"}
)
CONFLICT = frozenset({"ID_REUSED", "ACCOUNT_EXISTS", "SAME_PERSON"})
# What the gate decides. Everything else that the core refuses is a request without a meaning: 422.
RISK = frozenset(
    {
        *("KILL_SWITCH", "TRADING_HALTED", "REDUCE_ONLY", "INSTRUMENT_NOT_TRADABLE", "CURRENCY_MISMATCH"),
        *("MAX_ORDER_QTY", "MAX_ORDER_VALUE", "PRICE_COLLAR", "MAX_POSITION", "CONCENTRATION", "BUYING_POWER"),
        *("SHORT_RESTRICTED", "VAR_PARAMETRIC", "VAR_HISTORICAL", "REPEATED_ORDER", "SELF_TRADE", "MAX_OPEN_ORDERS"),
        *("LIMITS_MISSING", "PRICE_MISSING", "PRICE_STALE", "RISK_FAILED", "RISK_PARAMETERS_MISSING"),
    }
)
CASH = frozenset({"MAX_ORDER_VALUE", "CONCENTRATION", "BUYING_POWER", "VAR_PARAMETRIC", "VAR_HISTORICAL"})
QTY = frozenset({"MAX_ORDER_QTY", "MAX_POSITION", "QTY_NOT_MULTIPLE_OF_LOT", "SHORT_RESTRICTED", "REDUCE_ONLY"})
PRICE = frozenset({"PRICE_COLLAR", "PRICE_NOT_MULTIPLE_OF_TICK", "SELF_TRADE"})
# Alpaca's integers where they are not the status followed by 10000: with its own for a used client id, ccxt sees a bad
# request and not a network that is worth another try.
ALPACA = {400: 40010001, 409: 40010001}


class ApiError(Exception):
    """A refusal: HTTP status, stable code, a sentence, and the field if one is at fault."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        field: str = "",
        *,
        retry_s: int = 0,
        more: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.field = status, code, message, field
        self.retry_s = retry_s
        self.more = more or {}


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of an error."""

    code: str
    message: str
    request_id: str
    field: str = ""


class AlpacaProblem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of an error under /v2: Alpaca's integer, and our stable code as `reason`."""

    code: int
    message: str
    reason: str
    request_id: str
    field: str = ""


def render(error: ApiError, request_id: str, *, alpaca: bool) -> bytes:
    """Return the JSON of an error."""
    problem: Problem | AlpacaProblem
    if alpaca:
        number = ALPACA.get(error.status, error.status * 100_000 + 10_000)
        problem = AlpacaProblem(number, error.message, error.code, request_id, error.field)
    else:
        problem = Problem(error.code, error.message, request_id, error.field)
    return msgspec.json.encode(msgspec.to_builtins(problem) | error.more)


def headers_of(error: ApiError) -> dict[str, str]:
    """Return the headers that belong to an error."""
    return {"Retry-After": str(error.retry_s)} if error.retry_s else {}


def status_of(code: str) -> int:
    """Return the HTTP status of a code of the trading core."""
    if code in RISK:
        return 403
    if code == "MESSAGE_RATE":
        return 429
    if code in NOT_FOUND:
        return 404
    return 409 if code in CONFLICT else 422


def of_refusal(event: OrderRefused | CommandRefused, instrument: Instrument | None = None) -> ApiError:
    """Return the error of a refused order or command; every broken rule is in it."""
    more: dict[str, Any] = {}
    message = event.message
    codes = {event.code}
    if isinstance(event, OrderRefused) and event.breaches:
        codes |= {breach.code for breach in event.breaches}
        more["breaches"] = [describe(breach, instrument) for breach in event.breaches]
        more["largest"] = "0" if instrument is None else to_text(event.largest, instrument.qty_scale)
    if "BUYING_POWER" in codes:
        currency = "" if instrument is None else f" for {instrument.currency}"
        message = f"insufficient balance{currency}: {message}"
    retry_s = MESSAGE_RATE_RETRY_S if event.code == "MESSAGE_RATE" else 0
    return ApiError(status_of(event.code), event.code, message, field_of(event.code), retry_s=retry_s, more=more)


def describe(breach: Breach, instrument: Instrument | None) -> dict[str, Any]:
    """Return a broken rule with its amounts as decimal texts."""
    return {
        "code": breach.code,
        "message": breach.message,
        "limit": _amount(breach.code, breach.limit, instrument),
        "value": _amount(breach.code, breach.value, instrument),
        "largest": "0" if instrument is None else to_text(breach.largest, instrument.qty_scale),
    }


def of_desk(error: DeskError) -> ApiError:
    """Return the error of a partition that cannot answer now."""
    where = f"; its owner is at {error.url}" if isinstance(error, NotOwner) and error.url else ""
    message = f"{error}{where}; try again with the same client_order_id"
    return ApiError(503, error.code, message, retry_s=RETRY_AFTER_S)


def of_journal(error: Exception) -> ApiError:
    """Return the error of a journal, or of the history folded from it, that cannot be read now."""
    code = str(getattr(error, "code", "HISTORY_UNAVAILABLE"))
    return ApiError(503, code, "the journal cannot be read now; try again", retry_s=RETRY_AFTER_S)


def field_of(code: str) -> str:
    """Return the field that a code of the core speaks of."""
    for prefix, field in (
        ("LIMIT_PRICE", "limit_price"),
        ("STOP_PRICE", "stop_price"),
        ("QTY", "qty"),
        ("CLIENT_ORDER_ID", "client_order_id"),
        ("EXPIRE_TIME", "expires_at"),
        ("TIF", "time_in_force"),
        ("INSTRUMENT", "symbol"),
    ):
        if code.startswith(prefix):
            return field
    return ""


def _amount(code: str, value: int | str, instrument: Instrument | None) -> str:
    if isinstance(value, str):
        return value
    if code in CASH:
        return to_text(value, CASH_SCALE)
    if instrument is not None and code in QTY:
        return to_text(value, instrument.qty_scale)
    if instrument is not None and code in PRICE:
        return to_text(value, instrument.price_scale)
    return str(value)
