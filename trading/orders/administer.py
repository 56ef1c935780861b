"""Decide on controls: accounts, cash, limits, modes and the kill switch. Each event names its actor."""

from trading.amounts import CASH_SCALE, AmountError, parse_exact
from trading.commands import Deposit, Kill, OpenAccount, Revive, SetLimits, SetMode
from trading.events import (
    AccountOpened,
    AnyEvent,
    CashMoved,
    CommandRefused,
    KillChanged,
    LimitsChanged,
    ModeChanged,
)
from trading.orders.cancels import request_cancel
from trading.orders.state import State
from trading.risk.limits import MAX_CASH, Limits, LimitsError
from trading.risk.market import MarketView

Events = list[AnyEvent]
MAX_DEPOSITS = 100_000


def open_account(state: State, command: OpenAccount, _market: MarketView) -> Events:
    """Open an account; once more with the same currency is a repetition."""
    existing = state.accounts.get(command.account)
    if existing is not None:
        if existing.exposure.currency == command.currency:
            return []
        return [_no(command, "open_account", "ACCOUNT_EXISTS", "the account exists in another currency")]
    if not command.account.isascii() or not command.account.isprintable() or not command.account:
        return [_no(command, "open_account", "ACCOUNT_ID_INVALID", "an account id is printable ASCII")]
    return [AccountOpened(command.account, command.ts_ns, command.currency, command.actor)]


def deposit(state: State, command: Deposit, _market: MarketView) -> Events:
    """Move cash in or out, once for each reference."""
    account = state.accounts.get(command.account)
    if account is None:
        return [_no(command, "deposit", "ACCOUNT_UNKNOWN", f"there is no account {command.account!r}")]
    try:
        amount = parse_exact(command.amount, CASH_SCALE)
    except AmountError as error:
        return [_no(command, "deposit", f"AMOUNT_{error.code}", str(error))]
    before = account.deposits.get(command.ref)
    if before is not None:
        if before == amount:
            return []
        return [_no(command, "deposit", "ID_REUSED", "this reference was used for another amount")]
    if len(account.deposits) >= MAX_DEPOSITS:
        return [_no(command, "deposit", "TOO_MANY_DEPOSITS", "the account has too many cash movements")]
    if not 0 < abs(amount) <= MAX_CASH or abs(account.exposure.cash + amount) > MAX_CASH:
        return [_no(command, "deposit", "AMOUNT_OUT_OF_RANGE", "the amount or the balance is out of range")]
    if amount < 0 and account.exposure.cash + amount < 0:
        return [_no(command, "deposit", "CASH_MISSING", "a withdrawal cannot exceed the cash")]
    return [CashMoved(command.account, command.ts_ns, amount, command.ref, command.actor)]


def set_limits(state: State, command: SetLimits, _market: MarketView) -> Events:
    """Put the next version of an account's limits in force; the same limits again change nothing."""
    account = state.accounts.get(command.account)
    if account is None:
        return [_no(command, "set_limits", "ACCOUNT_UNKNOWN", f"there is no account {command.account!r}")]
    version = 1 if account.limits is None else account.limits.version + 1
    if account.limits is not None and account.limits.body == command.limits:
        return []
    try:
        Limits(version, command.limits)
    except LimitsError as error:
        return [_no(command, "set_limits", "LIMITS_INVALID", str(error))]
    return [LimitsChanged(command.account, command.ts_ns, version, command.limits, command.actor, command.reason)]


def set_mode(state: State, command: SetMode, _market: MarketView) -> Events:
    """Set a trading mode."""
    needs_target = command.scope in ("strategy", "instrument")
    if needs_target != bool(command.target) or (command.scope == "account" and not command.account):
        return [_no(command, "set_mode", "TARGET_INVALID", f"the scope {command.scope} does not fit the target")]
    old = state.controls.mode_of(command.scope, command.account, command.target)
    if old == command.mode:
        return []
    return [
        ModeChanged(
            command.account,
            command.ts_ns,
            command.scope,
            command.target,
            old,
            command.mode,
            command.actor,
            command.reason,
        )
    ]


def kill(state: State, command: Kill, _market: MarketView) -> Events:
    """Pull the kill switch and ask for the cancellation of everything that is open."""
    events: Events = []
    if not state.controls.killed:
        events.append(KillChanged(command.account, command.ts_ns, True, command.actor, command.reason))
    if command.cancel_open:
        for _, account in sorted(state.accounts.items()):
            for row in account.open.values():
                move = request_cancel(row, command.ts_ns, "KILL")
                if move is not None:
                    events.append(move)
    return events


def revive(state: State, command: Revive, _market: MarketView) -> Events:
    """Lift the kill switch, if another person asks than the one who pulled it."""
    if not state.controls.killed:
        return []
    if command.actor == state.controls.killed_by:
        return [_no(command, "revive", "SAME_PERSON", "another person must lift the kill switch")]
    return [KillChanged(command.account, command.ts_ns, False, command.actor, command.reason)]


def _no(
    command: OpenAccount | Deposit | SetLimits | SetMode | Kill | Revive, name: str, code: str, message: str
) -> CommandRefused:
    return CommandRefused(command.account, command.ts_ns, name, code, message)
