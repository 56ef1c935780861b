import asyncio
import random
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from streaming.adapters.feed_sim import SimFeed
from streaming.adapters.frame_head import read_source
from streaming.adapters.snapshot import SnapshotFile
from streaming.flow import FlowContext
from streaming.flows import normalize
from streaming.flows.normalize import FLOW, Normalize, RawBehindError, policy_of
from streaming.settings import FaultSettings, FeedSettings, MarketSettings, Settings
from streaming.transport.client import BrokerError, Record
from tests.streaming.adapters.frames import payloads
from tests.streaming.memory_broker import MemoryBroker
from tests.streaming.poll import until
from trading.codec import decode
from trading.messages import DeadLetter, Price

FAULTS = FaultSettings(
    gap=0.02, resend=0.02, flip=0.05, wrong_schema=0.02, duplicate=0.01, late=0.01, jump=0.01, nan=0.01
)
FEED = FeedSettings(rate=0, ticks=8_000, batch_rows=200, faults=FAULTS)
OUTPUTS = [("ticks", 0), ("ticks", 1), ("bars", 0), ("bars", 1), ("deadletter", 0)]


class KilledError(Exception):
    """Stands for kill -9 between two writes."""


class FragileBroker(MemoryBroker):
    """Dies at the n-th append, which is then not written."""

    def __init__(self) -> None:
        super().__init__()
        self.lives = 10**9

    async def append(self, topic: str, partition: int, messages: Sequence[tuple[bytes | None, bytes | None]]) -> int:
        """Append, or die."""
        self.lives -= 1
        if self.lives < 0:
            raise KilledError
        return await super().append(topic, partition, messages)


async def broker_with_frames() -> FragileBroker:
    broker = FragileBroker()
    await broker.append("ticks.raw", 0, [(b"SIM", payload) for payload in await payloads(SimFeed(FEED))])
    return broker


def processor(broker: MemoryBroker, home: Path, stale_after_ms: int = 5_000) -> Normalize:
    settings = Settings(home=home, market=MarketSettings(stale_after_ms=stale_after_ms))
    made = FLOW.factory(FlowContext(settings, home, broker), "ticks.raw", 0)
    assert isinstance(made, Normalize)
    return made


async def let_go(flow: Normalize) -> int:
    """Tick until something is let go."""
    released = await flow.tick()
    while released is None:
        await asyncio.sleep(0)
        released = await flow.tick()
    return released


async def work(flow: Normalize, broker: MemoryBroker, start: int, step: int = 5) -> None:
    records: list[Record] = broker.records["ticks.raw", 0]
    for first in range(start, len(records), step):
        released = await flow.process(records[first : first + step])
        if released is not None:
            broker.offsets["normalize", "ticks.raw", 0] = released


def outputs(broker: MemoryBroker) -> dict[tuple[str, int], list[bytes | None]]:
    return {output: [record.value for record in broker.records[output]] for output in OUTPUTS}


def prices(broker: MemoryBroker) -> dict[bytes | None, Price]:
    """Return what a reader of the compacted topic sees in the end."""
    records = [record for partition in (0, 1) for record in broker.records["prices", partition]]
    return {record.key: decode(record.value or b"", Price) for record in records}


async def calm(tmp_path: Path) -> FragileBroker:
    broker = await broker_with_frames()
    flow = processor(broker, tmp_path / "calm")
    assert await flow.open() == 0
    await work(flow, broker, 0)
    assert await flow.close() == len(broker.records["ticks.raw", 0])
    return broker


async def test_every_count_agrees_with_what_is_out(tmp_path: Path) -> None:
    broker = await broker_with_frames()
    flow = processor(broker, tmp_path)
    await flow.open()
    await work(flow, broker, 0)
    stats = flow.stats()
    assert stats["ticks_in"] == stats["ticks_out"] + stats["rejected"] + stats["duplicates"] > 0
    letters = [decode(value or b"", DeadLetter) for value in outputs(broker)["deadletter", 0]]
    assert sum(len(letter.rejects) for letter in letters) == sum(stats["codes"].values())
    assert stats["bad_frames"] > 0
    assert prices(broker)


async def test_nothing_is_let_go_before_a_snapshot_and_all_of_it_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(normalize, "IDLE_S", 0.0)
    broker = await broker_with_frames()
    flow = processor(broker, tmp_path)
    await flow.open()
    assert await flow.process(broker.records["ticks.raw", 0]) is None
    assert await let_go(flow) == len(broker.records["ticks.raw", 0])


async def test_records_go_on_while_a_snapshot_is_written_and_stay_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(normalize, "IDLE_S", 0.0)
    wait, go_on = asyncio.Event(), threading.Event()
    loop, write = asyncio.get_running_loop(), SnapshotFile.write

    def slow(self: SnapshotFile, header: msgspec.Struct, *body: bytes | memoryview) -> None:
        loop.call_soon_threadsafe(wait.set)
        assert go_on.wait(10)
        write(self, header, *body)

    monkeypatch.setattr(SnapshotFile, "write", slow)
    broker = await broker_with_frames()
    flow = processor(broker, tmp_path)
    await flow.open()
    records: list[Record] = broker.records["ticks.raw", 0]
    await flow.process(records[:10])
    assert await flow.tick() is None
    await wait.wait()
    await flow.process(records[10:30])
    assert await flow.tick() is None
    # The next one would be behind the records that have come meanwhile.
    monkeypatch.setattr(normalize, "IDLE_S", 1e9)
    go_on.set()
    assert await let_go(flow) == 10
    # Killed here: what came behind the snapshot is read again, and nothing of it is written again.
    again = processor(broker, tmp_path)
    assert await again.open() == 10
    await work(again, broker, 10)
    assert outputs(broker) == outputs(await calm(tmp_path))


@pytest.mark.parametrize("seed", range(8))
async def test_a_kill_between_any_two_writes_loses_and_doubles_nothing(seed: int, tmp_path: Path) -> None:
    expected = await calm(tmp_path)
    rng = random.Random(seed)
    broker = await broker_with_frames()
    for _ in range(6):
        broker.lives = rng.randrange(1, 60)
        flow = processor(broker, tmp_path / "killed")
        try:
            start = await flow.open()
            assert start is not None
            await work(flow, broker, start, step=rng.randrange(1, 12))
        except KilledError:
            continue
        if rng.random() < 0.5:
            await flow.close()
    broker.lives = 10**9
    flow = processor(broker, tmp_path / "killed")
    start = await flow.open()
    assert start is not None
    await work(flow, broker, start)
    assert outputs(broker) == outputs(expected), f"seed {seed}"
    assert prices(broker) == prices(expected), f"seed {seed}"


async def test_a_restart_goes_on_from_the_snapshot(tmp_path: Path) -> None:
    broker = await calm(tmp_path)
    before = outputs(broker)
    flow = processor(broker, tmp_path / "calm")
    assert await flow.open() == len(broker.records["ticks.raw", 0])
    assert flow.stats()["rework"] == 0
    await work(flow, broker, 0)
    assert outputs(broker) == before


@pytest.mark.parametrize("fault", ["gone", "torn", "settings", "broker", "raw", "outputs"])
async def test_a_snapshot_that_does_not_fit_is_made_again_from_the_frames(fault: str, tmp_path: Path) -> None:
    broker = await calm(tmp_path)
    count = len(broker.records["ticks.raw", 0])
    broker.offsets["normalize", "ticks.raw", 0] = count
    home = tmp_path / "calm"
    snapshot = home / "state" / "normalize-0.snap"
    stale_after_ms = 5_000
    if fault == "gone":
        snapshot.unlink()
    elif fault == "torn":
        snapshot.write_bytes(snapshot.read_bytes()[:-9])
    elif fault == "settings":
        stale_after_ms = 77
    elif fault == "raw":
        last = broker.records["ticks.raw", 0][-1]
        broker.records["ticks.raw", 0][-1] = msgspec.structs.replace(
            last, value=broker.records["ticks.raw", 0][0].value
        )
    elif fault == "outputs":
        del broker.records["bars", 0][-1]
    flow = processor(broker, home, stale_after_ms=stale_after_ms)
    if fault == "broker":
        settings = Settings(home=home, broker="kafka://127.0.0.1:1")
        flow = Normalize(FlowContext(settings, home, broker), "ticks.raw", 0)
    before = outputs(broker)
    assert await flow.open() == count
    assert flow.stats()["position"] == count
    assert flow.stats()["rework"] > 0
    if fault != "outputs":
        assert outputs(broker) == before


async def test_a_full_broker_is_waited_for(tmp_path: Path) -> None:
    broker = await broker_with_frames()
    flow = processor(broker, tmp_path)
    await flow.open()
    broker.fail_next = [BrokerError("LOG_FULL", "disk full", retriable=True)] * 4
    working = asyncio.create_task(work(flow, broker, 0))
    await until(lambda: bool(flow.stats()["waiting"]))
    assert flow.stats()["waiting"]["code"] == "LOG_FULL"
    await working
    assert outputs(broker) == outputs(await calm(tmp_path))
    assert flow.stats()["retries"] == 4


async def test_a_snapshot_that_cannot_be_written_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(normalize, "IDLE_S", 0.0)
    broker = await broker_with_frames()
    flow = processor(broker, tmp_path)
    await flow.open()
    await work(flow, broker, 0)
    block = tmp_path / "state" / "normalize-0.new"
    block.mkdir(parents=True)
    assert await flow.tick() is None
    await until(lambda: flow.stats()["waiting"] is not None)
    assert flow.stats()["waiting"]["code"] == "SNAPSHOT_FAILED"
    block.rmdir()
    assert await let_go(flow) == len(broker.records["ticks.raw", 0])
    assert flow.stats()["waiting"] is None


async def test_the_source_of_each_output_only_rises(tmp_path: Path) -> None:
    for output, values in outputs(await calm(tmp_path)).items():
        if output[0] != "deadletter":
            offsets = [source.offset for value in values if (source := read_source(value or b"")) is not None]
            assert offsets == sorted(set(offsets))
            assert len(offsets) == len(values)


async def test_bars_come_after_the_ticks_that_they_follow_from(tmp_path: Path) -> None:
    class Slow(FragileBroker):
        under_way, bars = 0, 0

        async def append(
            self, topic: str, partition: int, messages: Sequence[tuple[bytes | None, bytes | None]]
        ) -> int:
            assert topic != "bars" or not self.under_way
            self.bars += topic == "bars"
            self.under_way += topic != "bars"
            await asyncio.sleep(0)
            self.under_way -= topic != "bars"
            return await super().append(topic, partition, messages)

    broker = Slow()
    broker.records["ticks.raw", 0] = (await broker_with_frames()).records["ticks.raw", 0]
    flow = processor(broker, tmp_path)
    await flow.open()
    await flow.process(broker.records["ticks.raw", 0])
    assert broker.bars


def test_the_policy_is_that_of_the_settings() -> None:
    policy = policy_of(MarketSettings(allowed_lateness_ms=3, jump_ratio=2.0, no_trade="carry"))
    assert (policy.allowed_lateness_ns, policy.jump_ratio, policy.no_trade) == (3_000_000, 2.0, "carry")


@pytest.mark.parametrize("has_state", [True, False])
async def test_outputs_of_messages_that_are_lost_stop_it_before_others_are_taken_for_them(
    tmp_path: Path, has_state: bool
) -> None:
    broker = await calm(tmp_path)
    before = outputs(broker)
    home = tmp_path / ("calm" if has_state else "new")
    raw = broker.records["ticks.raw", 0]
    lost = raw[-3:]
    del raw[-3:]
    with pytest.raises(RawBehindError, match=rf"RAW_BEHIND.*ends at {len(raw)}") as refusal:
        await processor(broker, home).open()
    assert not refusal.value.retriable
    raw.extend(lost)
    flow = processor(broker, home)
    await work(flow, broker, await flow.open() or 0)
    await flow.close()
    assert outputs(broker) == before
