"""The configuration of an account under /v2: a view of its limits and mode, which its trader may only make tighter.

What is looser than what is in force needs an administrator: a halt that the desk has set is not lifted by the desk's
clients.
"""

from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from streaming.api.errors import ApiError
from streaming.api.keys import ADMIN
from streaming.api.operations import Call, Operation
from streaming.api.orders import raise_refusal
from trading.amounts import to_text
from trading.commands import LimitsBody, SetLimits, SetMode, TradingMode
from trading.orders.state import State

REASON = "configuration"
# Whole numbers by which buying power exceeds equity, as Alpaca has them.
MULTIPLIER = r"^[1-9][0-9]?(\.[0-9]{1,2})?$"


class Configurations(msgspec.Struct, frozen=True):
    """The configuration of an account. It follows the limits and the mode in force."""

    dtbp_check: Literal["both"]
    fractional_trading: bool
    max_margin_multiplier: str
    no_shorting: bool
    pdt_check: Literal["both"]
    suspend_trade: bool
    trade_confirm_email: Literal["none"]
    ptp_no_exception_entry: bool
    max_options_trading_level: None


class ConfigurationsChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be different; what is not given stays. Only the first three can change here."""

    suspend_trade: bool | None = None
    no_shorting: bool | None = None
    max_margin_multiplier: Annotated[str, Meta(pattern=MULTIPLIER)] | None = None
    dtbp_check: Annotated[str, Meta(max_length=32)] | None = None
    fractional_trading: bool | None = None
    pdt_check: Annotated[str, Meta(max_length=32)] | None = None
    trade_confirm_email: Annotated[str, Meta(max_length=32)] | None = None
    ptp_no_exception_entry: bool | None = None
    max_options_trading_level: int | None = None


CHANGEABLE = ("suspend_trade", "no_shorting", "max_margin_multiplier")


async def configurations(call: Call) -> Configurations:
    """Return the configuration of the account."""
    return (await _in_force(call))[0]


async def change(call: Call) -> Configurations:
    """Make the configuration tighter; with the scope admin, looser too. All is checked before anything changes."""
    shown, body = await _in_force(call)
    wanted = {
        name: value
        for name in call.body.__struct_fields__
        if (value := getattr(call.body, name)) is not None and not _same(value, getattr(shown, name))
    }
    for name in wanted:
        if name not in CHANGEABLE:
            raise ApiError(422, "FIELD_NOT_SUPPORTED", f"{name} is always {getattr(shown, name)!r} here", name)
    limits = None if body is None else _limits(body, wanted)
    looser = body is not None and limits is not None and _looser(limits, body)
    if (looser or wanted.get("suspend_trade") is False) and ADMIN not in call.key.scopes:
        raise ApiError(403, "SCOPE_MISSING", f"this is looser than what is in force and needs the scope {ADMIN}")
    if limits is None and wanted.keys() - {"suspend_trade"}:
        raise ApiError(404, "LIMITS_UNKNOWN", "the account has no limits")
    if wanted.get("suspend_trade") is False and await _killed(call):
        raise ApiError(409, "KILL_SWITCH", "the kill switch is pulled: DELETE /v1/kill lifts it", "suspend_trade")
    account, actor = call.key.account, call.key.actor
    commands: list[SetMode | SetLimits] = []
    if "suspend_trade" in wanted:
        mode: TradingMode = "halted" if wanted["suspend_trade"] else "active"
        commands.append(SetMode(account=account, ts_ns=0, actor=actor, scope="account", mode=mode, reason=REASON))
    if limits is not None and limits != body:
        commands.append(SetLimits(account=account, ts_ns=0, actor=actor, limits=limits, reason=REASON))
    for command in commands:
        for event in (await call.services.desk.execute(command, call.cause)).events:
            raise_refusal(event)
    return await configurations(call)


async def _in_force(call: Call) -> tuple[Configurations, LimitsBody | None]:
    name = call.key.account

    def look(state: State) -> tuple[Configurations, LimitsBody | None]:
        found = state.accounts.get(name)
        if found is None:
            raise ApiError(404, "ACCOUNT_UNKNOWN", "the account of this key has not been opened")
        body = None if found.limits is None else found.limits.body
        multiple = "1" if body is None else to_text(10_000 * 100 // body.margin_bps, 2)
        halted = state.controls.killed or state.controls.mode_of("account", name, "") == "halted"
        shorting = body is not None and body.short_allowed
        shown = Configurations("both", True, multiple, not shorting, "both", halted, "none", False, None)
        return shown, body

    return await call.services.desk.read(name, look)


def _limits(body: LimitsBody, wanted: dict[str, object]) -> LimitsBody:
    changes: dict[str, object] = {}
    if "no_shorting" in wanted:
        changes["short_allowed"] = not wanted["no_shorting"]
    if "max_margin_multiplier" in wanted:
        changes["margin_bps"] = round(10_000 / Decimal(str(wanted["max_margin_multiplier"])))
    return msgspec.structs.replace(body, **changes)


def _looser(limits: LimitsBody, body: LimitsBody) -> bool:
    return limits.margin_bps < body.margin_bps or (limits.short_allowed and not body.short_allowed)


def _same(value: object, shown: object) -> bool:
    if isinstance(value, str) and isinstance(shown, str) and shown[:1].isdigit() and value[:1].isdigit():
        return Decimal(value) == Decimal(shown)
    return value == shown


async def _killed(call: Call) -> bool:
    return await call.services.desk.read(call.key.account, lambda state: state.controls.killed)


_PATH = "/v2/account/configurations"
OPERATIONS = (
    Operation(
        "GET",
        _PATH,
        "Get the configuration of the account",
        "read",
        configurations,
        Configurations,
        errors=(404,),
    ),
    Operation(
        "PATCH",
        _PATH,
        "Change the configuration of the account",
        "trade",
        change,
        Configurations,
        body=ConfigurationsChange,
        errors=(404, 409),
    ),
)
