"""The only place that makes a `faust.App`. One app for each consuming role; its id is the role and the consumer group.

Never used: `exactly_once` (duplicates, crashes), windowed tables, the leader topic, Faust's web server, `take()`.
"""

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.contrib.asgi import bind_to_running_loop
from faust.tables.manager import TableManager
from faust.types import TP
from mode.supervisors import CrashingSupervisor
from yarl import URL

from streaming.flow import Flow, FlowContext
from streaming.guard import Guard
from streaming.lane import Fetched, Intake
from streaming.settings import Settings
from streaming.transport.connect import faust_broker_url
from streaming.transport.departed import client_id

COMMIT_INTERVAL_S = 1.0
POLL_RECORDS = 1_000
# With the default of 4096 a full buffer costs a pause of one second each time.
STREAM_BUFFER_RECORDS = 65_536
SESSION_S = 10.0
# A member hears of a rebalance with the answer to a heartbeat: this is the most that a hand-over waits for it.
HEARTBEAT_S = 0.25
REBALANCE_S = 10.0
REQUEST_S = 30.0
MAX_FETCH_BYTES = 8 << 20


class QuietMonitor(faust.Monitor):
    """A monitor that counts nothing: Faust needs the object, the platform has its own metrics."""

    def on_message_in(self, *args: Any, **kwargs: Any) -> None:
        """Count nothing."""

    def on_message_out(self, *args: Any, **kwargs: Any) -> None:
        """Count nothing."""

    def on_stream_event_in(self, *args: Any, **kwargs: Any) -> None:
        """Count nothing."""

    def on_stream_event_out(self, *args: Any, **kwargs: Any) -> None:
        """Count nothing."""

    def track_tp_end_offset(self, *args: Any, **kwargs: Any) -> None:
        """Count nothing."""


class NoTables(TableManager):
    """The table manager of an app without tables: Faust waits a second at start for tables to be declared."""

    async def on_start(self) -> None:
        """Start at once."""
        await self._update_channels()
        await self.recovery.start()


class NoWeb(BootStrategy):
    """Start everything but Faust's own web server."""

    enable_web = False


class RecordsSchema(faust.Schema[Any, Any]):
    """The schema of messages that hold what was fetched together: nothing is to be decoded."""

    def compile(self, app: Any, **_: Any) -> Any:
        """Return what makes an event of a message."""

        async def decode(message: Any, **_: Any) -> faust.Event:
            return faust.Event(app, None, message.value, None, message)

        return decode


class App(faust.App):
    """An app without web server; its health pages are those of the worker."""

    BootStrategy = NoWeb
    # Read by the consumers of both transports.
    together = False
    fetch_gap_s = 0.0
    held = False

    def _create_directories(self) -> None:
        """Create none: there are no tables, and state belongs to the processors."""


def make_app(role: str, settings: Settings) -> App:
    """Return the app of a role on the broker of the settings. Nothing is connected or created yet."""
    url = faust_broker_url(settings.broker_url, fsync=settings.fsync)
    app = App(
        role,
        broker=url,
        broker_client_id=client_id(),
        store="memory://",
        key_serializer="raw",
        value_serializer="raw",
        agent_supervisor=CrashingSupervisor,
        processing_guarantee="at_least_once",
        stream_wait_empty=False,
        stream_buffer_maxsize=STREAM_BUFFER_RECORDS,
        broker_commit_interval=COMMIT_INTERVAL_S,
        broker_max_poll_records=POLL_RECORDS,
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=HEARTBEAT_S,
        broker_rebalance_timeout=REBALANCE_S,
        broker_request_timeout=REQUEST_S,
        consumer_max_fetch_size=MAX_FETCH_BYTES,
        consumer_auto_offset_reset="earliest",
        table_standby_replicas=0,
        TableManager=NoTables,
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        autodiscover=False,
    )
    app.monitor = QuietMonitor()
    transport = _transport(url)
    # Faust's own alias would win over an entry point of the same name.
    app.transport = transport([URL(url)], app)
    app.producer_transport = transport([URL(url)], app)
    return app


class RoleApp:
    """One consuming role at work: its Faust app and the guard that drives its processors."""

    def __init__(self, flow: Flow, context: FlowContext) -> None:
        self.flow = flow
        self.guard = Guard(flow, context)
        self._app = make_app(flow.role, context.settings)
        self._app.together, self._app.fetch_gap_s, self._app.held = True, flow.fetch_gap_s, flow.patient
        self.started = False
        _attach(self._app, flow, self.guard)

    @property
    def failure(self) -> BaseException | None:
        """Return why the app cannot go on, or None. A crash under an ASGI server would otherwise be silent."""
        if self.guard.failure is not None:
            return self.guard.failure
        if self.started and (self._app.crashed or self._app.should_stop):
            return self._app.crash_reason or RuntimeError("the Faust app stopped by itself")
        return None

    @property
    def ready(self) -> bool:
        """Tell whether the app works, partitions are assigned and their processors are open."""
        return self.started and self.failure is None and not self._app.rebalancing and self.guard.ready

    async def start(self) -> None:
        """Join the group and start to consume."""
        bind_to_running_loop(self._app)
        self._app.finalize()
        await self._app.maybe_start()
        self.started = True

    def begin(self) -> None:
        """Fetch what has waited until now."""
        if self._app.held:
            self._app.held = False
            if self.started:
                self._app.consumer.resume_partitions(set())

    async def commit(self) -> None:
        """Commit what was let go. A commit that is under way holds only what was let go before it."""
        await self._app.consumer.commit()
        await self._app.consumer.commit()

    async def stop(self) -> None:
        """Leave the group."""
        if self.started:
            self.started = False
            await self._app.stop()


def _attach(app: App, flow: Flow, guard: Guard) -> None:
    schema = RecordsSchema(key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
    topic = app.topic(flow.topic, schema=schema, internal=False)

    async def drive(stream: Any) -> None:
        await guard.run(_fetched(stream.noack().events()))

    app.agent(topic, name=flow.role)(drive)

    async def assigned(*args: Any, **_: Any) -> None:
        consumer: Any = app.consumer
        intake = Intake(
            full=lambda partition: consumer.on_buffer_full(TP(flow.topic, partition)),
            drop=lambda partition: consumer.on_buffer_drop(TP(flow.topic, partition)),
            let_go=lambda partition, offset: consumer.let_go(TP(flow.topic, partition), offset),
        )
        guard.assigned(_numbers(args[-1], flow.topic), intake, generation=app.consumer_generation_id)

    async def revoked(*args: Any, **_: Any) -> None:
        await guard.revoked(_numbers(args[-1], flow.topic))

    app.on_partitions_assigned.connect(assigned, weak=False)
    app.on_partitions_revoked.connect(revoked, weak=False)


async def _fetched(events: AsyncIterable[faust.Event]) -> AsyncIterator[Fetched]:
    async for event in events:
        message: Any = event.message
        yield message


def _numbers(partitions: set[TP], topic: str) -> set[int]:
    return {tp.partition for tp in partitions if tp.topic == topic}


def _transport(url: str) -> type[Any]:
    if url.startswith("kafka://"):
        from streaming.transport.kafka import Transport as Kafka

        return Kafka
    from streaming.transport.log import Transport as Log

    return Log
