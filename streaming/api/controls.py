"""Our own routes for what is in force: the kill switch, trading modes, and the limits of accounts by version."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from streaming.api import times
from streaming.api.errors import ApiError, of_refusal
from streaming.api.operations import Call, Operation
from streaming.owner.desk import NotOwner, NotReady
from trading.commands import Kill, LimitsBody, Revive, SetLimits, SetMode, TradingMode
from trading.events import AnyEvent, CommandRefused, OrderMoved
from trading.orders.state import State

AccountName = Annotated[str, Meta(min_length=1, max_length=128)]
Reason = Annotated[str, Meta(max_length=256)]


class KillBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why, and whether open orders are cancelled too."""

    reason: Reason = ""
    cancel_open: bool = True


class ReviveQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why."""

    reason: Reason = ""


class KillState(msgspec.Struct, frozen=True):
    """Whether the kill switch is pulled, in every partition, and how many cancels were asked for now."""

    killed: bool
    killed_by: str
    partitions: int
    cancels: int = 0


class ModeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A trading mode for everything, the key's account, or a strategy or instrument in it."""

    scope: Literal["global", "account", "strategy", "instrument"]
    mode: TradingMode
    account: AccountName | None = None
    target: Annotated[str, Meta(max_length=128)] = ""
    reason: Reason = ""


class ModeState(msgspec.Struct, frozen=True):
    """The mode that is in force after a change."""

    scope: str
    account: str
    target: str
    mode: TradingMode


class LimitsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose limits; only an administrator may name another account than the key's."""

    account: AccountName | None = None


class LimitsChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The limits to put in force. With `version` they replace exactly that version, 0 meaning none."""

    limits: LimitsBody
    account: AccountName | None = None
    version: Annotated[int, Meta(ge=0)] | None = None
    reason: Reason = ""


class LimitsVersion(msgspec.Struct, frozen=True):
    """One version of the limits of an account."""

    version: int
    at: str
    actor: str
    reason: str
    limits: LimitsBody


class LimitsPage(msgspec.Struct, frozen=True):
    """The version in force, and all versions that were, newest first."""

    account: str
    version: int
    limits: LimitsBody
    versions: list[LimitsVersion]


async def kill(call: Call) -> KillState:
    """Refuse each new order from the next command on; answered when every partition has it on record."""
    command = Kill(
        account="", ts_ns=0, actor=call.key.actor, reason=call.body.reason, cancel_open=call.body.cancel_open
    )
    answers = await call.services.desk.execute_everywhere(command, call.cause)
    events = [event for answer in answers for event in answer.events]
    found = await kill_state(call)
    cancels = sum(isinstance(event, OrderMoved) for event in events)
    return msgspec.structs.replace(found, cancels=cancels)


async def revive(call: Call) -> KillState:
    """Lift the kill switch; another person must ask than the one who pulled it."""
    command = Revive(account="", ts_ns=0, actor=call.key.actor, reason=call.query.reason)
    for answer in await call.services.desk.execute_everywhere(command, call.cause):
        _raise(answer.events)
    return await kill_state(call)


async def kill_state(call: Call) -> KillState:
    """Tell whether the kill switch is pulled."""
    desk = call.services.desk
    states = [await _switch(call, number) for number in range(desk.partitions)]
    pulled = [by for on, by in states if on]
    return KillState(bool(pulled), pulled[0] if pulled else "", desk.partitions)


async def set_mode(call: Call) -> ModeState:
    """Set a trading mode."""
    body: ModeBody = call.body
    everywhere = body.scope == "global" or (body.scope in ("strategy", "instrument") and body.account == "*")
    account = "" if everywhere else body.account or call.key.account
    target = body.target
    if body.scope == "instrument" and target:
        instrument = call.services.symbols.find(target)
        if instrument is None:
            raise ApiError(422, "INSTRUMENT_UNKNOWN", f"there is no instrument {target[:64]!r}", "target")
        target = instrument.id
    command = SetMode(
        account=account,
        ts_ns=0,
        actor=call.key.actor,
        scope=body.scope,
        mode=body.mode,
        target=target,
        reason=body.reason,
    )
    desk = call.services.desk
    answers = (
        await desk.execute_everywhere(command, call.cause) if everywhere else [await desk.execute(command, call.cause)]
    )
    for answer in answers:
        _raise(answer.events)
    return ModeState(body.scope, account, target, body.mode)


async def limits(call: Call) -> LimitsPage:
    """Return the limits of an account."""
    return await _limits(call, _account(call, call.query.account))


async def set_limits(call: Call) -> LimitsPage:
    """Put the next version of an account's limits in force."""
    body: LimitsChange = call.body
    account = _account(call, body.account)
    if body.version is not None:
        current = await call.services.desk.read(account, lambda state: _version(state, account))
        if current != body.version:
            raise ApiError(409, "VERSION_CHANGED", f"version {current} is in force, not {body.version}", "version")
    command = SetLimits(account=account, ts_ns=0, actor=call.key.actor, limits=body.limits, reason=body.reason)
    answer = await call.services.desk.execute(command, call.cause)
    _raise(answer.events)
    return await _limits(call, account)


async def _limits(call: Call, account: str) -> LimitsPage:
    def look(state: State) -> tuple[int, LimitsBody] | None:
        found = state.accounts.get(account)
        return None if found is None or found.limits is None else (found.limits.version, found.limits.body)

    in_force = await call.services.desk.read(account, look)
    if in_force is None:
        raise ApiError(404, "LIMITS_UNKNOWN", "the account has no limits")
    await call.services.history.catch_up(call.services.desk.partition_of(account))
    versions = [
        LimitsVersion(row["version"], times.to_text(row["ts_ns"]), row["actor"], row["reason"], row["limits"])
        for row in call.services.history.limits(account)
    ]
    return LimitsPage(account, *in_force, versions)


def _account(call: Call, named: str | None) -> str:
    account = named or call.key.account
    if account != call.key.account and "admin" not in call.key.scopes:
        raise ApiError(404, "LIMITS_UNKNOWN", "the account has no limits")
    return account


def _version(state: State, account: str) -> int:
    found = state.accounts.get(account)
    return 0 if found is None or found.limits is None else found.limits.version


async def _switch(call: Call, number: int) -> tuple[bool, str]:
    try:
        return await call.services.desk.read_partition(number, _controls)
    except (NotOwner, NotReady):
        # Another process has the partition: the journal tells what is in force there.
        await call.services.history.catch_up(number)
        return call.services.history.killed(number)


def _controls(state: State) -> tuple[bool, str]:
    return state.controls.killed, state.controls.killed_by


def _raise(events: tuple[AnyEvent, ...]) -> None:
    for event in events:
        if isinstance(event, CommandRefused):
            raise of_refusal(event)


OPERATIONS = (
    Operation("GET", "/v1/kill", "Tell whether the kill switch is pulled", "read", kill_state, KillState),
    Operation("POST", "/v1/kill", "Pull the kill switch", "admin", kill, KillState, body=KillBody, body_needed=False),
    Operation(
        "DELETE", "/v1/kill", "Lift the kill switch", "admin", revive, KillState, query=ReviveQuery, errors=(409,)
    ),
    Operation("PUT", "/v1/mode", "Set a trading mode", "admin", set_mode, ModeState, body=ModeBody, errors=(409,)),
    Operation("GET", "/v1/limits", "Get the limits", "read", limits, LimitsPage, query=LimitsQuery, errors=(404,)),
    Operation(
        "PUT", "/v1/limits", "Change the limits", "admin", set_limits, LimitsPage, body=LimitsChange, errors=(404, 409)
    ),
)
