"""The order API as a service of the role `orders`: it starts with the desk and is mounted beside the health pages."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

import msgspec
import structlog
from fastapi import FastAPI

from streaming.api.app import create_app
from streaming.api.history import History
from streaming.api.keys import open_keys
from streaming.flow import FlowContext, Service
from streaming.owner.desk import Desk, DeskError
from streaming.settings import ConfigError, StartSettings
from trading.commands import AnyCommand, Deposit, LimitsBody, OpenAccount, SetLimits
from trading.orders.state import State
from trading.risk.limits import Limits, LimitsError

HISTORY_FILE = "history.sqlite"
START_REF = "start"
ACTOR = "settings"
RETRY_S = 0.25
_log = structlog.get_logger("api")


class HouseOfAccounts(Service, Desk, Protocol):
    """What the API needs of the role: a desk that starts and stops with the process."""


class OrderApi:
    """Starts the desk, then the API over it. `mount` puts the application where the process serves HTTP."""

    def __init__(self, house: HouseOfAccounts) -> None:
        self.mount: Callable[[FastAPI], None] | None = None
        self._house = house
        self._history: History | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, context: FlowContext) -> None:
        """Begin; raise `ConfigError` if the keys file or the limits of the start are refused."""
        settings = context.settings
        limits = limits_of(settings.start)
        keys = open_keys(context.home, settings.api.accounts)
        await self._house.start(context)
        path = context.home / "state" / HISTORY_FILE
        self._history = History(path, context.client, settings.orders.partitions)
        app = create_app(self._house, keys, self._history, settings.instrument_table(), settings.api)
        if self.mount is not None:
            self.mount(app)
        opening = open_accounts(self._house, settings.api.accounts, settings.start.cash, limits)
        self._tasks = [
            asyncio.create_task(self._history.keep_folding(), name="history"),
            asyncio.create_task(opening, name="accounts"),
        ]

    async def stop(self) -> None:
        """End, the desk last."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._history is not None:
            await self._history.settle()
            self._history.close()
        await self._house.stop()


def limits_of(start: StartSettings) -> LimitsBody:
    """Return the limits of new accounts; raise `ConfigError`."""
    try:
        body = msgspec.convert(start.model_dump(exclude={"cash"}), LimitsBody)
        Limits(1, body)
    except (msgspec.ValidationError, LimitsError) as error:
        raise ConfigError("settings", "start", str(error)) from None
    return body


async def open_accounts(desk: Desk, accounts: tuple[str, ...], cash: str, limits: LimitsBody) -> None:
    """Open the accounts that the desk does not know; what exists stays as it is, limits that were changed too."""
    for account in accounts:
        while True:
            try:
                await _open(desk, account, cash, limits)
                break
            except DeskError:
                await asyncio.sleep(RETRY_S)


async def _open(desk: Desk, account: str, cash: str, limits: LimitsBody) -> None:
    def missing(state: State) -> tuple[bool, bool]:
        found = state.accounts.get(account)
        return found is None or START_REF not in found.deposits, found is None or found.limits is None

    unfunded, unlimited = await desk.read(account, missing)
    wanted: list[AnyCommand] = []
    if unfunded:
        wanted.append(OpenAccount(account=account, ts_ns=0, actor=ACTOR))
        wanted.append(Deposit(account=account, ts_ns=0, actor=ACTOR, ref=START_REF, amount=cash))
    if unlimited:
        wanted.append(SetLimits(account=account, ts_ns=0, actor=ACTOR, limits=limits, reason="start"))
    for command in wanted:
        await desk.execute(command, "settings:start")
    if wanted:
        _log.info("account_opened", account=account)
