"""The platform starts roles in order, stops them from the gateway down, and names what failed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from streaming import lane, platform
from streaming.adapters.feed import FeedError
from streaming.flow import Flow, FlowContext, SourceFlow
from streaming.platform import EXIT_DRAIN, EXIT_FEED, EXIT_UNAVAILABLE, Platform
from streaming.settings import ConfigError, MarketSettings, OrderSettings, Settings
from streaming.supervise import PlatformError
from streaming.transport.client import BrokerClient, BrokerError, Record
from streaming.transport.connect import connect
from streaming.worker import flows_of
from tests.streaming.poll import until
from tests.streaming.probe_flow import FLOW, SOURCE, TOPIC
from tests.streaming.worker_process import give, lines

Made = Callable[..., Platform]


class Copy:
    """Writes each record of `ticks.raw` to `ticks`; what it gets on close counts too."""

    def __init__(self, context: FlowContext, topic: str, partition: int) -> None:
        self.client = context.client
        self.next = 0

    async def open(self) -> int | None:
        return None

    async def process(self, records: Sequence[Record]) -> int | None:
        await self.client.append("ticks", 0, [(record.key, record.value) for record in records])
        self.next = records[-1].offset + 1
        return self.next

    async def tick(self) -> int | None:
        return None

    async def close(self) -> int | None:
        await self.client.append("ticks", 0, [(None, b"last")])
        return self.next

    def stats(self) -> Mapping[str, Any]:
        return {"copied": self.next}


class Last(Copy):
    """Remembers what came."""

    seen: list[bytes | None]

    def __init__(self, context: FlowContext, topic: str, partition: int) -> None:
        super().__init__(context, topic, partition)
        if partition == 0:
            type(self).seen = []

    async def process(self, records: Sequence[Record]) -> int | None:
        self.seen.extend(record.value for record in records)
        self.next = records[-1].offset + 1
        return self.next

    async def close(self) -> int | None:
        return self.next or None


class Broken:
    """A source that cannot go on."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def run(self) -> None:
        raise self.error

    async def stop(self) -> None:
        """Do nothing."""

    def stats(self) -> Mapping[str, Any]:
        return {"name": "broken"}


class Refusing:
    """A broker that cannot be reached."""

    async def start(self) -> None:
        raise BrokerError("UNREACHABLE", "no broker", retriable=True)

    async def stop(self) -> None:
        """Do nothing."""


class Begun:
    """A source that says whether it has begun."""

    def __init__(self) -> None:
        self.begun, self.over = False, asyncio.Event()

    async def run(self) -> None:
        self.begun = True
        await self.over.wait()

    async def stop(self) -> None:
        self.over.set()

    def stats(self) -> Mapping[str, Any]:
        return {"name": "begun"}


class Slow(Copy):
    """Opens when it may."""

    may_open: asyncio.Event

    async def open(self) -> int | None:
        await self.may_open.wait()
        return None


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Made]:
    running: list[Platform] = []

    def make(*flows: Flow | SourceFlow, client: Any = connect, **settings: Any) -> Platform:
        running.append(Platform(Settings(home=tmp_path, **settings), flows, client))
        return running[-1]

    yield make
    for one in running:
        await one.stop()


async def until_ready(one: Platform) -> None:
    await one.watch(lambda: one.board.state == "ready")


async def test_a_stop_works_from_the_gateway_down(tmp_path: Path, made: Made) -> None:
    one = made(Flow("last", "ticks", Last), Flow("copy", "ticks.raw", Copy))
    await one.start()
    await until_ready(one)
    client: BrokerClient = connect(f"log://{tmp_path}/log")
    await client.start()
    await client.append("ticks.raw", 0, [(None, b"a"), (None, b"b")])
    await one.drain()
    assert Last.seen == [b"a", b"b", b"last"]
    assert await client.committed("last", "ticks", 0) == 3
    assert await client.committed("copy", "ticks.raw", 0) == 2
    assert one.board.state == "draining"
    await client.stop()


async def test_a_source_begins_when_the_roles_are_ready(made: Made) -> None:
    Slow.may_open, source, looks = asyncio.Event(), Begun(), iter(range(5))
    one = made(Flow("slow", "ticks.raw", Slow), SourceFlow("begun", lambda _: source))
    await one.start()
    await one.watch(lambda: next(looks, None) is None)
    assert (source.begun, one.board.state) == (False, "starting")
    Slow.may_open.set()
    await one.watch(lambda: source.begun)
    assert one.board.state == "ready"
    await one.drain()


async def test_a_source_does_not_wait_for_ever_for_roles(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "HOLD_S", 0.05)
    Slow.may_open, source = asyncio.Event(), Begun()
    one = made(Flow("slow", "ticks.raw", Slow), SourceFlow("begun", lambda _: source))
    await one.start()
    await one.watch(lambda: source.begun)
    assert one.board.state == "starting"
    Slow.may_open.set()


async def test_patient_records_wait_until_the_roles_are_open(tmp_path: Path, made: Made) -> None:
    Slow.may_open, looks = asyncio.Event(), iter(range(5))
    one = made(Flow("last", "ticks", Last, patient=True), Flow("slow", "ticks.raw", Slow))
    await one.start()
    client: BrokerClient = connect(f"log://{tmp_path}/log")
    await client.start()
    await client.append("ticks", 0, [(None, b"a")])
    await one.watch(lambda: next(looks, None) is None)
    assert (Last.seen, one.board.state) == ([], "starting")
    Slow.may_open.set()
    await one.watch(lambda: Last.seen == [b"a"])
    assert one.board.state == "ready"
    await one.drain()
    await client.stop()


async def test_patient_records_do_not_wait_for_ever(
    tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "HOLD_S", 0.05)
    Slow.may_open = asyncio.Event()
    one = made(Flow("last", "ticks", Last, patient=True), Flow("slow", "ticks.raw", Slow))
    await one.start()
    client: BrokerClient = connect(f"log://{tmp_path}/log")
    await client.start()
    await client.append("ticks", 0, [(None, b"a")])
    await one.watch(lambda: Last.seen == [b"a"])
    assert one.board.state == "starting"
    Slow.may_open.set()
    await client.stop()


async def test_it_comes_to_rest_up_to_the_owner_and_drains_the_sinks_later(tmp_path: Path, made: Made) -> None:
    one = made(Flow("sink-last", "ticks", Last), Flow("copy", "ticks.raw", Copy))
    await one.start()
    await until_ready(one)
    client: BrokerClient = connect(f"log://{tmp_path}/log")
    await client.start()
    await client.append("ticks.raw", 0, [(None, b"a")])
    await one.quiet()
    assert (one.board.state, one.board.reasons()) == ("quiet", ["the process is quiet"])
    assert await client.committed("copy", "ticks.raw", 0) == 1
    await client.append("ticks", 0, [(None, b"of the owner")])
    await one.watch(lambda: len(Last.seen) == 3)
    await one.drain()
    assert Last.seen == [b"a", b"last", b"of the owner"]
    assert await client.committed("sink-last", "ticks", 0) == 3
    await client.stop()


async def test_a_drain_is_bounded_and_loses_nothing(
    tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "DRAIN_S", 0.2)
    monkeypatch.setattr(lane, "REVOKE_WAIT_S", 0.05)
    give(tmp_path, "a", "hang")
    one = made(SOURCE, FLOW)
    await one.start()
    await until_ready(one)
    await until(lambda: one.drained)
    with pytest.raises(PlatformError, match="not drained within") as caught:
        await one.drain()
    assert (caught.value.code, caught.value.exit_code) == ("DRAIN_TIMEOUT", EXIT_DRAIN)
    await one.stop()
    assert lines(tmp_path) == []


async def test_the_page_after_a_stop_is_the_last_word(tmp_path: Path, made: Made) -> None:
    give(tmp_path, "a", "b")
    one = made(SOURCE, FLOW)
    await one.start()
    await until(lambda: one.drained)
    await one.drain()
    await one.stop()
    page = one.board.page()
    assert page["groups"]["probe"] == {"topic": TOPIC, "committed": {"0": 2}, "lag": 0}
    assert (page["flows"]["probe"]["0"]["rows"], page["feed"]["frames"]) == (2, 2)


async def test_a_broken_source_is_named(made: Made) -> None:
    one = made(SourceFlow("broken", lambda _: Broken(BrokerError("APPEND_REFUSED", "the broker said no"))), FLOW)
    await one.start()
    with pytest.raises(PlatformError, match="the broker said no") as caught:
        await one.watch(lambda: False)
    assert caught.value.code == "APPEND_REFUSED"


@pytest.mark.parametrize("drains", [True, False])
async def test_a_feed_that_cannot_be_read_has_an_exit_code_of_its_own(drains: bool, made: Made) -> None:
    feed = Broken(FeedError("FEED_COLUMN_MISSING", "no price"))
    one = made(SourceFlow("broken", lambda _: feed), FLOW)
    await one.start()
    await until(lambda: one.drained)
    with pytest.raises(PlatformError, match="no price") as caught:
        await (one.drain() if drains else one.watch(lambda: False))
    assert (caught.value.code, caught.value.exit_code) == ("FEED_COLUMN_MISSING", EXIT_FEED)


async def test_no_broker_is_unavailable(made: Made) -> None:
    one = made(FLOW, client=lambda *_, **__: Refusing())
    with pytest.raises(PlatformError) as caught:
        await one.start()
    assert (caught.value.code, caught.value.exit_code) == ("UNREACHABLE", EXIT_UNAVAILABLE)


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        ("market.shards", {"market": MarketSettings(shards=3)}),
        ("market.raw_partitions", {"market": MarketSettings(raw_partitions=3)}),
        ("orders.partitions", {"orders": OrderSettings(partitions=3)}),
    ],
)
async def test_another_partition_count_is_a_wrong_setting(made: Made, key: str, changed: dict[str, Any]) -> None:
    one = made(FLOW)
    await one.start()
    await one.stop()
    other = made(FLOW, **changed)
    with pytest.raises(ConfigError, match="Partition counts cannot change") as caught:
        await other.start()
    assert caught.value.key == key


async def test_not_ready_while_a_state_is_opened(made: Made) -> None:
    gate = asyncio.Event()

    class Slow(Last):
        async def open(self) -> int | None:
            await gate.wait()
            return None

    one = made(Flow("slow", "ticks", Slow))
    assert one.board.reasons() == ["roles are not started"]
    await one.start()
    assert one.board.reasons() == ["slow has no partitions or opens its state"]
    gate.set()
    await until_ready(one)
    assert one.board.reasons() == []


def test_roles_stop_in_the_order_of_the_data() -> None:
    names = ("sink-journal", "orders", "route", "sink-frames", "strategy", "normalize", "sink-ticks")
    found = sorted((flow for flow in flows_of(names, []) if isinstance(flow, Flow)), key=platform._stage)
    stages = [(platform._stage(flow), flow.role) for flow in found]
    assert stages == [
        (0, "sink-frames"), (0, "normalize"), (1, "route"), (1, "strategy"),
        (2, "orders"), (3, "sink-journal"), (3, "sink-ticks"),
    ]  # fmt: skip
