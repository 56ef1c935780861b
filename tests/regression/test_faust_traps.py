"""Each trap of stock Faust, shown on stock Faust, and closed in ours. All on `log://` in a temporary folder."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import faust
import httpx
import pytest
from fastapi import FastAPI
from faust.contrib.asgi import faust_app_running, faust_lifespan
from faust.transport.consumer import Consumer as StockConsumer
from faust.types import TP
from mode.supervisors import CrashingSupervisor
from yarl import URL

from streaming.app import App, NoTables, RoleApp, make_app
from streaming.flow import FlowContext
from streaming.platform import Platform
from streaming.settings import Settings
from streaming.supervise import PlatformError
from streaming.transport.client import BrokerClient, TopicSpec
from streaming.transport.connect import connect
from streaming.transport.delivery import DeliveryTracking
from streaming.transport.log import Consumer, Transport
from tests.streaming.poll import until
from tests.streaming.probe_flow import FLOW, TOPIC
from tests.streaming.worker_process import lines

RECORDS = 10
BACKLOG = 10_000
Acks = Callable[[int], bool]


class Stock(Consumer):
    """The embedded transport with Faust's own drain loop, gap tree and commit rule instead of ours."""

    _drain_messages = StockConsumer._drain_messages
    _wait_next_records = StockConsumer._wait_next_records
    _new_offset = StockConsumer._new_offset
    _add_gap = StockConsumer._add_gap
    perform_seek = StockConsumer.perform_seek


class Ours(Consumer):
    """The consumer as it is."""


class EvenOnly(Consumer):
    """Delivers even offsets only, as a topic with transaction markers or compaction does."""

    def _fetch(self, active: set[TP]) -> dict[TP, list[Any]]:
        fetched = super()._fetch(active)
        return {tp: [frame for frame in frames if frame.offset % 2 == 0] for tp, frames in fetched.items()}


class StockEvenOnly(EvenOnly, Stock):
    """Stock bookkeeping over offsets with gaps."""


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[BrokerClient]:
    made = connect(f"log://{tmp_path}/log")
    await made.start()
    await made.create_topics([TopicSpec(TOPIC, 1), TopicSpec("deadletter", 1)])
    yield made
    await made.stop()


async def fill(client: BrokerClient, values: list[str]) -> None:
    await client.append(TOPIC, 0, [(b"k", value.encode()) for value in values])


def stock_app(home: Path, consumer: type[Consumer] = Stock, **settings: Any) -> faust.App:
    """Return an app with Faust's defaults for all that matters here, on the embedded log."""
    app = App(
        "probe",
        broker=f"log://{home}/log?fsync=batch",
        store="memory://",
        key_serializer="raw",
        value_serializer="raw",
        web_enabled=False,
        topic_disable_leader=True,
        TableManager=NoTables,
        **settings,
    )
    return with_consumer(app, consumer)


def our_app(home: Path, consumer: type[Consumer] = Ours) -> faust.App:
    """Return the platform's app."""
    return with_consumer(make_app("probe", Settings(home=home)), consumer)


def with_consumer(app: faust.App, consumer: type[Consumer]) -> faust.App:
    kind = type("TestTransport", (Transport,), {"Consumer": consumer})
    app.transport = kind([URL(str(app.conf.broker[0]))], app)
    return app


@asynccontextmanager
async def hand_acked(app: faust.App, acks: Acks) -> AsyncIterator[list[int]]:
    """Run an app whose agent acks by hand, only the offsets that `acks` names; yield the offsets seen."""
    seen: list[int] = []

    async def by_hand(stream: Any) -> None:
        async for event in stream.noack().events():
            seen.append(event.message.offset)
            if acks(event.message.offset):
                event.ack()

    app.agent(app.topic(TOPIC, value_type=bytes), name="by-hand")(by_hand)
    async with faust_app_running(app):
        yield seen


async def committed(client: BrokerClient) -> int:
    return await client.committed("probe", TOPIC, 0) or 0


class TestExceptionInAnAgent:
    async def test_stock_loses_the_record(self, tmp_path: Path, client: BrokerClient) -> None:
        await fill(client, [f"{n}" for n in range(RECORDS)])
        app, seen = stock_app(tmp_path), list[bytes]()

        async def raising(stream: Any) -> None:
            async for value in stream:
                if value == b"5":
                    raise ValueError(value)
                seen.append(value)

        app.agent(app.topic(TOPIC, value_type=bytes), name="raising")(raising)
        async with faust_app_running(app):
            await until(lambda: len(seen) == RECORDS - 1)
            await app.consumer.commit()
        assert await committed(client) == RECORDS
        assert b"5" not in seen

    async def test_ours_stops_and_gets_it_again(self, tmp_path: Path, client: BrokerClient) -> None:
        await fill(client, ["0", "1", "2", "raise-once", "4"])
        context = FlowContext(Settings(home=tmp_path), tmp_path, client)
        role = RoleApp(FLOW, context)
        await role.start()
        await until(lambda: role.failure is not None)
        assert not role.ready
        await role.guard.revoked([0])
        await role.stop()
        assert await committed(client) <= 3
        role = RoleApp(FLOW, context)
        await role.start()
        await until(lambda: role.ready)
        await role.guard.drain({0: 5})
        await role.commit()
        await role.stop()
        assert await committed(client) == 5
        assert lines(tmp_path) == ["0 0", "1 1", "2 2", "3 raise-once", "4 4"]


class TestCommitRule:
    @pytest.mark.parametrize(
        ("make", "consumer", "offset"), [(stock_app, Stock, RECORDS), (our_app, Ours, 5)], ids=["stock", "ours"]
    )
    async def test_one_unacked_record_before_acked_ones(
        self, tmp_path: Path, client: BrokerClient, make: Callable[..., faust.App], consumer: type, offset: int
    ) -> None:
        app = make(tmp_path, consumer)
        async with hand_acked(app, lambda offset: offset != 5) as seen:
            await fill(client, [f"{n}" for n in range(5)])
            await until(lambda: len(seen) == 5)
            await app.consumer.commit()
            await fill(client, [f"{n}" for n in range(5, RECORDS)])
            await until(lambda: len(seen) == RECORDS)
            await app.consumer.commit()
            assert await committed(client) == offset

    @pytest.mark.parametrize(
        ("make", "consumer", "offset", "gaps"),
        [(stock_app, StockEvenOnly, 1, True), (our_app, EvenOnly, RECORDS - 1, False)],
        ids=["stock", "ours"],
    )
    async def test_offsets_with_gaps_hold_the_stock_commit(
        self,
        tmp_path: Path,
        client: BrokerClient,
        make: Callable[..., faust.App],
        consumer: type,
        offset: int,
        gaps: bool,
    ) -> None:
        app = make(tmp_path, consumer)
        await fill(client, [f"{n}" for n in range(RECORDS)])
        async with hand_acked(app, lambda _: True) as seen:
            await until(lambda: len(seen) == RECORDS // 2)
            tree = bool(_inside(app, "_gap"))
            await app.consumer.commit()
            assert (await committed(client), tree) == (offset, gaps)


class FullMonitor(faust.Monitor):
    """Counts how often a partition was called full."""

    full = 0

    def on_topic_buffer_full(self, tp: TP) -> None:
        """Count."""
        self.full += 1


class TestFullStreamBuffer:
    @pytest.mark.parametrize(("make", "stalls"), [(stock_app, True), (our_app, False)], ids=["stock", "ours"])
    async def test_a_backlog_behind_a_slow_agent(
        self, tmp_path: Path, client: BrokerClient, make: Callable[..., faust.App], stalls: bool
    ) -> None:
        await fill(client, ["x"] * BACKLOG)
        app = make(tmp_path)
        app.monitor = monitor = FullMonitor()
        streams: list[Any] = []

        async def asleep(stream: Any) -> None:
            streams.append(stream)
            await asyncio.Event().wait()

        app.agent(app.topic(TOPIC, value_type=bytes), name="asleep")(asleep)
        async with faust_app_running(app):
            await until(lambda: monitor.full > 0 or _queued(streams) == BACKLOG)
            assert (monitor.full > 0) is stalls
            assert (_queued(streams) == BACKLOG) is not stalls


class TestTakeAfterAFailedWrite:
    async def test_stock_loses_the_batch(self, tmp_path: Path, client: BrokerClient) -> None:
        await fill(client, [f"{n}" for n in range(RECORDS)])
        app, written, failed = stock_app(tmp_path), list[bytes](), list[bytes]()

        async def taking(stream: Any) -> None:
            async for batch in stream.take(5, within=0.5):
                if not failed:
                    failed.extend(batch)
                    raise OSError("no space left")
                written.extend(batch)

        app.agent(app.topic(TOPIC, value_type=bytes), name="taking")(taking)
        async with faust_app_running(app):
            await until(lambda: len(written) == 5)
            await until(lambda: len(_inside(app, "_acked_index")) in {0, RECORDS})
            await app.consumer.commit()
        assert await committed(client) == RECORDS
        assert not set(failed) & set(written)

    async def test_ours_repeats_the_write_and_holds_the_offset(self, tmp_path: Path, client: BrokerClient) -> None:
        (tmp_path / "full").touch()
        await fill(client, ["a", "b", "c"])
        role = RoleApp(FLOW, FlowContext(Settings(home=tmp_path), tmp_path, client))
        await role.start()
        await until(lambda: role.guard.waiting is not None)
        await role.commit()
        assert await committed(client) == 0
        (tmp_path / "full").unlink()
        await until(lambda: len(lines(tmp_path)) == 3 and role.guard.waiting is None)
        await role.guard.drain({0: 3})
        await role.commit()
        await role.stop()
        assert await committed(client) == 3


class TestCrashUnderAnHttpServer:
    async def test_stock_goes_on_answering(self, tmp_path: Path, client: BrokerClient) -> None:
        await fill(client, ["x"])
        app = stock_app(tmp_path, agent_supervisor=CrashingSupervisor)

        async def raising(stream: Any) -> None:
            async for value in stream:
                raise ValueError(value)

        app.agent(app.topic(TOPIC, value_type=bytes), name="raising")(raising)
        api = FastAPI(lifespan=faust_lifespan(app))
        api.get("/health")(lambda: {"status": "ok"})
        async with api.router.lifespan_context(api):
            await until(lambda: app.crashed)
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=api), base_url="http://test") as http:
                assert (await http.get("/health")).status_code == 200

    async def test_ours_fails_readiness_and_ends(self, tmp_path: Path, client: BrokerClient) -> None:
        await fill(client, ["raise"])
        platform = Platform(Settings(home=tmp_path), [FLOW], connect)
        await platform.start()
        try:
            with pytest.raises(PlatformError, match="poison") as caught:
                await platform.watch(lambda: False)
            assert (caught.value.code, caught.value.exit_code) == ("ROLE_FAILED", 1)
            assert platform.board.reasons()
        finally:
            await platform.stop()


def test_the_embedded_transport_has_the_fixes() -> None:
    assert issubclass(Consumer, DeliveryTracking)


def _queued(streams: list[Any]) -> int:
    return sum(stream.channel.queue.qsize() for stream in streams)


def _inside(app: faust.App, name: str) -> Any:
    return getattr(app.consumer, name)[TP(TOPIC, 0)]
