"""All roles of one worker process on one broker: starts them in order, watches them, and stops them without loss."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog

from streaming import topics
from streaming.adapters.feed import FeedError
from streaming.adapters.telemetry import Metrics
from streaming.app import RoleApp
from streaming.flow import Flow, FlowContext, Service, Source, SourceFlow
from streaming.settings import SETTINGS, ConfigError, Settings
from streaming.status import NAME, Board
from streaming.supervise import EXIT_FAILED, CommitWatch, PlatformError
from streaming.transport.client import BrokerClient, BrokerError
from streaming.transport.departed import evict
from trading.schemas import ORDERS_COMMANDS, ORDERS_JOURNAL, TICKS_RAW

WATCH_S = 0.1
# What sources and patient roles wait for the roles of their process at most.
HOLD_S = 10.0
REFRESH_S = 1.0
DRAIN_S = 60.0
STOP_S = 10.0
EXIT_FEED = 65
EXIT_UNAVAILABLE = 69
EXIT_DRAIN = 75
_OWNER_STAGE = 2

_log = structlog.get_logger("platform")


class Platform:
    """The running roles of one process."""

    def __init__(
        self,
        settings: Settings,
        flows: Sequence[Flow | SourceFlow],
        connect: Callable[..., BrokerClient],
        name: str = NAME,
    ) -> None:
        self.board = Board(settings.home, [flow.role for flow in flows], settings.broker_url.partition(":")[0], name)
        self.metrics = Metrics(self.board.page)
        self.board.reasons = self._reasons
        self.board.flows = lambda: {role.flow.role: role.guard.stats() for role in self._roles}
        self.board.feed = lambda: self._sources[0].stats() if self._sources else None
        self._settings = settings
        self._flows = flows
        self._client = connect(settings.broker_url, fsync=settings.fsync)
        self._roles: list[RoleApp] = []
        self._sources: list[Source] = []
        self._source_tasks: list[asyncio.Task[None]] = []
        self._begun = asyncio.Event()
        self._services: list[Service] = []
        self._commits = CommitWatch(self.board)

    @property
    def drained(self) -> bool:
        """Tell whether every source has come to its end."""
        return bool(self._source_tasks) and all(task.done() for task in self._source_tasks)

    async def start(self) -> None:
        """Connect, create topics, start the consuming roles together; the sources begin when these are ready."""
        try:
            await self._client.start()
        except BrokerError as error:
            raise PlatformError(error.code, str(error), EXIT_UNAVAILABLE) from error
        consuming = [flow for flow in self._flows if isinstance(flow, Flow)]
        extra = [flow.topic for flow in consuming]
        try:
            specs = await topics.create(self._client, self._settings, extra)
        except BrokerError as error:
            if error.code == "TOPIC_MISMATCH":
                raise ConfigError(SETTINGS, topics.setting_of(str(error)), str(error)) from None
            raise PlatformError(error.code, str(error), EXIT_UNAVAILABLE) from error
        await evict(self._settings.broker_url, [flow.role for flow in consuming])
        self.board.watch(self._client, specs, {flow.role: flow.topic for flow in consuming})
        for flow in consuming:
            if flow.service is not None:
                await flow.service.start(self._context(flow.role))
                self._services.append(flow.service)
        self._sources = [f.factory(self._context(f.role)) for f in self._flows if isinstance(f, SourceFlow)]
        self._roles = [RoleApp(flow, self._context(flow.role)) for flow in consuming]
        await asyncio.gather(*(role.start() for role in self._roles))
        asyncio.get_running_loop().call_later(HOLD_S, self._begin)
        self._source_tasks = [
            asyncio.create_task(self._run(source), name=f"source-{number}")
            for number, source in enumerate(self._sources)
        ]

    async def watch(self, until: Callable[[], bool]) -> None:
        """Return when `until()`; raise `PlatformError` for the first thing that fails."""
        loop = asyncio.get_running_loop()
        refreshed_s = 0.0
        while not until():
            self._check_tasks()
            if self.board.state == "starting" and not self._reasons():
                self.board.state = "ready"
                self._begin()
                await self.board.refresh(force=True)
                self.board.write()
                _log.info("ready", roles=[flow.role for flow in self._flows], http=self.board.http)
            if loop.time() - refreshed_s >= REFRESH_S:
                refreshed_s = loop.time()
                await self._refresh()
            await asyncio.sleep(WATCH_S)

    async def _run(self, source: Source) -> None:
        await self._begun.wait()
        await source.run()

    def _begin(self) -> None:
        """Let work begin that has waited, for roles that open need the time; the market is not missed for longer."""
        self._begun.set()
        for role in self._roles:
            role.begin()

    async def _refresh(self) -> None:
        try:
            await self.board.refresh()
        except BrokerError as error:
            # A broker that is away holds up the roles, which wait for it; the page just gets older.
            _log.warning("status_not_refreshed", code=error.code, message=str(error))
            return
        self.board.sample()
        self._commits.check(self._is_excused)

    async def quiet(self) -> None:
        """Drain what comes before the owner of orders, who is in another process and has to drain next."""
        await self._drain(lambda role: _stage(role.flow) < _OWNER_STAGE)
        self.board.state = "quiet"

    async def drain(self) -> None:
        """Stop the sources, let each stage work up to its end and flush, commit; bounded by `DRAIN_S`."""
        await self._drain(lambda _: True)

    async def _drain(self, wanted: Callable[[RoleApp], bool]) -> None:
        self.board.state = "draining"
        self._begin()
        try:
            async with asyncio.timeout(DRAIN_S):
                for source, task in zip(self._sources, self._source_tasks, strict=False):
                    await source.stop()
                    await asyncio.wait([task])
                self._check_sources()
                for stage in _stages([role for role in self._roles if role.started and wanted(role)]):
                    await asyncio.gather(*(self._drain_role(role) for role in stage))
        except TimeoutError:
            lags = {group: lag for group, lag in self.board.lags().items() if lag}
            message = f"not drained within {DRAIN_S:.0f} s; records that wait: {lags}; nothing is lost, start again"
            raise PlatformError("DRAIN_TIMEOUT", message, EXIT_DRAIN) from None

    async def stop(self) -> None:
        """Leave the groups and disconnect. What was not let go comes again after the next start."""
        for task in self._source_tasks:
            task.cancel()
        await _settled(*self._source_tasks)
        with contextlib.suppress(BrokerError):
            await self.board.refresh(force=True)
        await _settled(*(role.guard.revoked(role.guard.partitions) for role in self._roles))
        await _settled(*(role.stop() for role in self._roles))
        await _settled(*(service.stop() for service in self._services))
        await _settled(self._client.stop())

    async def _drain_role(self, role: RoleApp) -> None:
        topic = role.flow.topic
        ends = {number: await self._client.end_offset(topic, number) for number in role.guard.partitions}
        await role.guard.drain(ends)
        await role.commit()
        # Who goes on with the partitions need not wait until the later stages are through.
        await _settled(role.stop())

    def _context(self, role: str) -> FlowContext:
        return FlowContext(self._settings, self._settings.home, self._client, self.metrics.observer(role))

    def _check_tasks(self) -> None:
        for role in self._roles:
            if role.failure is not None:
                raise PlatformError("ROLE_FAILED", f"{role.flow.role}: {_text(role.failure)}") from role.failure
        self._check_sources()

    def _check_sources(self) -> None:
        for task in self._source_tasks:
            error = task.exception() if task.done() and not task.cancelled() else None
            if error is not None:
                code = str(getattr(error, "code", "SOURCE_FAILED"))
                exit_code = EXIT_FEED if isinstance(error, FeedError) else EXIT_FAILED
                raise PlatformError(code, f"source: {_text(error)}", exit_code) from error

    def _reasons(self) -> list[str]:
        if self.board.state not in ("starting", "ready"):
            return [f"the process is {self.board.state}"]
        if len(self._roles) + len(self._sources) < len(self._flows):
            return ["roles are not started"]
        return [f"{role.flow.role} has no partitions or opens its state" for role in self._roles if not role.ready]

    def _is_excused(self, group: str) -> bool:
        role = next(role for role in self._roles if role.flow.role == group)
        # One full disk holds up the offsets of all groups, also of those that do not wait themselves.
        waits = [other.guard.waiting for other in self._roles] + [s.stats().get("waiting") for s in self._sources]
        return not role.ready or any(waits)


def _stages(roles: Sequence[RoleApp]) -> list[list[RoleApp]]:
    """Return the roles in the order of the data: raw ticks, who writes commands, their owner, and what is left."""
    stages: list[list[RoleApp]] = [[], [], [], []]
    for role in roles:
        stages[_stage(role.flow)].append(role)
    return [stage for stage in stages if stage]


def _stage(flow: Flow) -> int:
    if flow.topic == TICKS_RAW.name:
        return 0
    if flow.topic == ORDERS_JOURNAL.name and not flow.role.startswith("sink-"):
        return 1
    return _OWNER_STAGE if flow.topic == ORDERS_COMMANDS.name else 3


async def _settled(*work: Awaitable[Any]) -> None:
    if work:
        _, pending = await asyncio.wait([asyncio.ensure_future(item) for item in work], timeout=STOP_S)
        for task in pending:
            task.cancel()


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def describe(pages: Mapping[str, Any]) -> dict[str, Any]:
    """Return the few figures of a status page that belong into the last log line."""
    return {"lag": {group: value["lag"] for group, value in pages["groups"].items()}, "feed": pages["feed"]}
