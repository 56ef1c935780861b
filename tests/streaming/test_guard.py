"""The guard acks what is durable, opens before the first record, and drops what was revoked."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from streaming.flow import FlowContext
from streaming.guard import Guard
from streaming.settings import Settings
from streaming.transport.client import Record
from tests.streaming.memory_broker import FakeIntake, FakeMessage, MemoryBroker
from tests.streaming.poll import until
from tests.streaming.probe_flow import FLOW, TOPIC


class Feed:
    """Messages that a test hands to the guard, as a Faust stream would."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[FakeMessage] = asyncio.Queue()

    def put(self, values: Sequence[str], *, partition: int = 0, start: int = 0, generation: int = 1) -> None:
        made = [Record(TOPIC, partition, start + n, None, value.encode()) for n, value in enumerate(values)]
        self.queue.put_nowait(FakeMessage([made], generation))

    async def __aiter__(self) -> AsyncIterator[FakeMessage]:
        while True:
            yield await self.queue.get()


class Bench:
    """A guard over the probe flow, and the agent task that Faust would run."""

    def __init__(self, home: Path) -> None:
        self.broker = MemoryBroker()
        self.feed, self.consumer = Feed(), FakeIntake()
        self.guard = Guard(FLOW, FlowContext(Settings(home=home), home, self.broker))
        self.agent = asyncio.create_task(self.guard.run(self.feed))

    def assign(self, *partitions: int, generation: int = 1) -> None:
        self.guard.assigned(partitions, self.consumer.intake, generation=generation)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.guard.revoked(list(made.guard.partitions))
    made.agent.cancel()
    await asyncio.wait({made.agent})


async def test_only_what_is_durable_is_acked(bench: Bench, tmp_path: Path) -> None:
    bench.assign(0)
    bench.feed.put(["a", "b"])
    await until(lambda: bench.guard.stats()["0"]["pending_rows"] == 2)
    assert bench.consumer.gone == {}
    bench.feed.put(["c"], start=2)
    await until(lambda: bench.consumer.gone == {0: 2})
    assert (tmp_path / "probe-0.txt").read_text() == "0 a\n1 b\n2 c\n"


async def test_a_drain_works_up_to_the_end_and_flushes(bench: Bench, tmp_path: Path) -> None:
    bench.assign(0, 1)
    bench.feed.put(["a", "b", "c", "d"])
    bench.feed.put(["x"], partition=1)
    await bench.guard.drain({0: 4, 1: 1})
    assert bench.consumer.gone == {0: 3, 1: 0}
    assert (tmp_path / "probe-1.txt").read_text() == "0 x\n"


async def test_records_below_the_restored_state_are_let_go_unprocessed(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "probe-0.txt").write_text("1 old\n")
    bench.assign(0)
    bench.feed.put(["a", "b", "c"])
    await bench.guard.drain({0: 3})
    assert bench.consumer.gone == {0: 2}
    assert (tmp_path / "probe-0.txt").read_text() == "1 old\n2 c\n"


async def test_a_state_older_than_the_committed_offset_is_caught_up(bench: Bench, tmp_path: Path) -> None:
    await bench.broker.append(TOPIC, 0, [(None, b"a"), (None, b"b"), (None, b"c")])
    bench.broker.offsets["probe", TOPIC, 0] = 3
    (tmp_path / "probe-0.txt").write_text("0 a\n")
    bench.assign(0)
    await bench.guard.drain({0: 3})
    assert (tmp_path / "probe-0.txt").read_text() == "0 a\n1 b\n2 c\n"


async def test_an_exception_ends_the_agent_and_acks_nothing(bench: Bench) -> None:
    bench.assign(0)
    bench.feed.put(["a", "raise"])
    with pytest.raises(ValueError, match="poison"):
        await asyncio.wait_for(asyncio.shield(bench.agent), 10)
    assert isinstance(bench.guard.failure, ValueError)
    assert not bench.guard.ready
    assert bench.consumer.gone == {}


async def test_a_revoked_partition_is_dropped_without_acks(bench: Bench, tmp_path: Path) -> None:
    bench.assign(0)
    bench.feed.put(["a", "b"])
    await until(lambda: bench.guard.stats()["0"]["pending_rows"] == 2)
    await bench.guard.revoked([0])
    assert bench.guard.partitions == frozenset()
    assert bench.consumer.gone == {}
    assert not (tmp_path / "probe-0.txt").exists()


async def test_records_of_an_older_generation_are_dropped(bench: Bench, tmp_path: Path) -> None:
    bench.assign(0, generation=2)
    bench.feed.put(["stale"], start=5, generation=1)
    bench.feed.put(["a"], generation=2)
    await until(lambda: bench.guard.stats()["0"]["pending_rows"] == 1)
    await bench.guard.drain({0: 1})
    assert (tmp_path / "probe-0.txt").read_text() == "0 a\n"
    assert bench.consumer.gone == {0: 0}


async def test_ready_means_assigned_and_open(bench: Bench) -> None:
    assert not bench.guard.ready
    bench.assign(0, 1)
    assert not bench.guard.ready
    await until(lambda: bench.guard.ready)


async def test_no_partitions_is_ready_too(bench: Bench) -> None:
    bench.assign()
    assert bench.guard.ready


async def test_a_retriable_wait_shows_and_ends(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "full").touch()
    bench.assign(0)
    bench.feed.put(["a", "b", "c"])
    await until(lambda: (bench.guard.waiting or {}).get("code") == "DISK_FULL")
    assert bench.consumer.gone == {}
    (tmp_path / "full").unlink()
    await until(lambda: bench.consumer.gone == {0: 2})
    assert bench.guard.waiting is None
    assert bench.guard.stats()["0"]["retries"] >= 1
