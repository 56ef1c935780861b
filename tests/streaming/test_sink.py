"""The sink: rows in batches, offsets let go only when durable, and each source row once whatever happens."""

import asyncio
import errno
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streaming.adapters.lake import Lake, LakeError
from streaming.flow import FlowContext
from streaming.settings import Settings, SinkSettings
from streaming.sink import MAX_BYTES, DeltaSink, LakeAheadError, Writer, shared_writer
from streaming.sink_rows import FRAME_FORM, TICK_FORM
from streaming.transport.client import Record
from tests.streaming.market_rows import ticks
from tests.streaming.memory_broker import MemoryBroker
from tests.streaming.poll import until
from trading.codec import decode
from trading.messages import DeadLetter, Source
from trading.schemas import FRAMES_V1, TICKS_V1

ROWS = 3


class Desk:
    """A topic, a lake and a clock, and sinks between them."""

    def __init__(self, home: Path, **limits: float) -> None:
        self.broker = MemoryBroker()
        self.now_s = 0.0
        self.on_step: Callable[[str], None] = lambda _: None
        sink = SinkSettings.model_validate({"max_rows": 12, "max_seconds": 5.0, "backlog_rows": 30} | limits)
        self.context = FlowContext(Settings(sink=sink), home, self.broker)
        self.lake = Lake(home / "lake", checkpoint_every=3, on_step=lambda step: self.on_step(step))
        self.writer = Writer(self.lake, TICKS_V1)
        self.sent = -1

    async def send(self, *raw_offsets: int, partition: int = 0) -> None:
        """Append one message of three ticks for each raw offset."""
        for offset in raw_offsets:
            await self.broker.append("ticks", partition, [(None, ticks(offset, ROWS).encode())])

    def records(self, start: int = 0, stop: int | None = None, partition: int = 0) -> list[Record]:
        """Return records of the topic."""
        return self.broker.records["ticks", partition][start:stop]

    def sink(self, partition: int = 0, close_wait_s: float = 20.0) -> DeltaSink:
        """Return a new sink."""
        return DeltaSink(
            self.context,
            "ticks",
            partition,
            table=TICKS_V1,
            form=TICK_FORM,
            writer=self.writer,
            clock=lambda: self.now_s,
            close_wait_s=close_wait_s,
        )

    async def opened(self, partition: int = 0) -> DeltaSink:
        """Return a new sink that is open."""
        sink = self.sink(partition)
        await sink.open()
        return sink

    def sources(self) -> list[tuple[int, int]]:
        """Return raw offset and row of every row in the table, sorted; duplicates show."""
        if not self.lake.exists(TICKS_V1):
            return []
        table = self.lake.read(TICKS_V1, ["src_offset", "src_row"])
        return sorted(zip(table["src_offset"].to_pylist(), table["src_row"].to_pylist(), strict=True))


def wanted(*raw_offsets: int) -> list[tuple[int, int]]:
    """Return the rows that the messages of these raw offsets have."""
    return sorted((offset, 10 + row) for offset in raw_offsets for row in range(ROWS))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Return a desk whose sinks commit at 12 rows or 5 s."""
    return Desk(tmp_path)


async def settled(sink: DeltaSink) -> int | None:
    """Wait until the commit in hand is done; return what tick lets go."""
    commits = sink.stats()["commits"]
    await until(lambda: sink.stats()["commits"] > commits)
    return await sink.tick()


async def test_rows_are_committed_at_the_limit_of_rows(desk: Desk) -> None:
    """Rows are counted, not messages; nothing is let go before the commit."""
    await desk.send(*range(5))
    sink = await desk.opened()
    assert await sink.process(desk.records(0, 3)) == 0
    assert sink.stats()["pending_rows"] == 9
    assert await sink.process(desk.records(3, 4)) == 0
    assert await settled(sink) == 4
    assert desk.sources() == wanted(*range(4))
    stats = sink.stats()
    assert (stats["rows"], stats["commits"], stats["version"], stats["applied"]) == (12, 1, 1, 3)
    assert (stats["pending_rows"], stats["error"], stats["waiting"]) == (0, None, None)
    assert stats["last_commit_ms"] > 0


async def test_rows_are_committed_at_the_limit_of_time(desk: Desk) -> None:
    """Counted from the first row that waits, by tick alone."""
    await desk.send(0, 1)
    sink = await desk.opened()
    await sink.process(desk.records())
    desk.now_s = 4.9
    assert await sink.tick() == 0
    desk.now_s = 5.0
    await sink.tick()
    assert await settled(sink) == 2
    assert desk.sources() == wanted(0, 1)


async def test_close_commits_the_rest(desk: Desk) -> None:
    """And lets all of it go."""
    await desk.send(0, 1)
    sink = await desk.opened()
    await sink.process(desk.records())
    assert await sink.close() == 2
    assert desk.sources() == wanted(0, 1)
    assert await (await desk.opened()).close() == 2


async def test_backlog_grows_the_commits_and_then_stops_the_intake(desk: Desk) -> None:
    """While a commit is written, rows are taken up to the backlog; the loop is never blocked."""
    go = threading.Event()

    def hold(step: str) -> None:
        if step == "data_synced":
            assert go.wait(20)

    desk.on_step = hold
    await desk.send(*range(30))
    sink = await desk.opened()
    assert await sink.process(desk.records(0, 10)) == 0
    assert sink.stats()["pending_rows"] == 30
    intake = asyncio.create_task(sink.process(desk.records(10)))
    await until(lambda: sink.stats()["pending_rows"] == 42)
    await asyncio.sleep(0)
    assert not intake.done()
    assert sink.stats()["pending_rows"] == 42
    go.set()
    await intake
    assert await sink.close() == 30
    assert desk.sources() == wanted(*range(30))
    assert sink.stats()["commits"] <= 5


async def test_the_table_says_where_to_go_on(desk: Desk) -> None:
    """Not the group: its offset may be ahead of a repaired table."""
    await desk.send(*range(8))
    assert await desk.sink().open() == 0
    sink = await desk.opened()
    await sink.process(desk.records(0, 4))
    await sink.close()
    assert await desk.sink().open() == 4
    again = await desk.opened()
    assert await again.process(desk.records()) == 4
    assert again.stats()["redelivered"] == 4
    await again.close()
    assert desk.sources() == wanted(*range(8))


async def test_a_source_that_was_seen_is_dropped(desk: Desk) -> None:
    """A normaliser that was killed may send a message twice; its offset is let go nevertheless."""
    await desk.send(0, 1, 1, 0, 2)
    sink = await desk.opened()
    await sink.process(desk.records())
    assert await sink.close() == 5
    assert desk.sources() == wanted(0, 1, 2)
    await desk.send(2, 1)
    again = await desk.opened()
    await again.process(desk.records(5))
    assert await again.close() == 7
    assert again.stats()["redelivered"] == 2
    assert desk.sources() == wanted(0, 1, 2)
    assert desk.lake.range_faults(TICKS_V1) == []


async def test_a_message_that_cannot_be_read_is_a_dead_letter(desk: Desk) -> None:
    """With code and place; the sink goes on, and the offsets still tile."""
    await desk.send(0)
    await desk.broker.append("ticks", 0, [(None, b"junk"), (None, None)])
    await desk.send(1)
    sink = await desk.opened()
    await sink.process(desk.records())
    assert await sink.close() == 4
    assert desk.sources() == wanted(0, 1)
    letters = [decode(each.value or b"", DeadLetter) for each in desk.broker.records["deadletter", 0]]
    assert [(letter.topic, letter.src, letter.rejects[0].code) for letter in letters] == [
        ("ticks", Source(0, 1), "CORRUPT"),
        ("ticks", Source(0, 2), "CORRUPT"),
    ]
    assert letters[0].rejects[0].sample == b"junk".hex()
    assert sink.stats()["dead_letters"] == 2
    assert desk.lake.range_faults(TICKS_V1) == []


async def test_offsets_that_the_broker_lost_are_told(desk: Desk) -> None:
    """They show in the stats and as a gap of the table's ranges."""
    await desk.send(*range(6))
    sink = await desk.opened()
    await sink.process(desk.records(0, 2))
    await sink.process(desk.records(4))
    assert await sink.close() == 6
    assert sink.stats()["missing_offsets"] == 2
    assert desk.sources() == wanted(0, 1, 4, 5)
    assert desk.lake.range_faults(TICKS_V1) == ["ticks-0: gap at version 2: starts at 4, wanted 2"]


async def test_a_full_disk_stops_the_intake_until_space_returns(desk: Desk) -> None:
    """It is told with its code; nothing is lost or doubled."""
    full = True

    def fill(step: str) -> None:
        if step == "data_synced" and full:
            raise OSError(errno.ENOSPC, "No space left on device")

    desk.on_step = fill
    await desk.send(*range(30))
    sink = await desk.opened()
    intake = asyncio.create_task(sink.process(desk.records()))
    await until(lambda: sink.stats()["retries"] >= 2)
    error = sink.stats()["error"]
    assert error["code"] == sink.stats()["waiting"]["code"] == "DISK_FULL"
    assert "ticks_v1" in error["message"]
    assert not intake.done()
    assert sink.stats()["pending_rows"] == 42
    full = False
    await intake
    assert await sink.close() == 30
    assert sink.stats()["error"] is None
    assert desk.sources() == wanted(*range(30))


async def test_a_sink_that_closes_on_a_full_disk_leaves_rows_in_the_topic(desk: Desk) -> None:
    """It ends in bounded time and does not let them go; the next one writes them."""
    full = True

    def fill(step: str) -> None:
        if step == "data_synced" and full:
            raise OSError(errno.ENOSPC, "No space left on device")

    desk.on_step = fill
    await desk.send(*range(5))
    sink = desk.sink(close_wait_s=0.2)
    await sink.open()
    await sink.process(desk.records())
    assert await sink.close() == 0
    full = False
    again = await desk.opened()
    await again.process(desk.records())
    assert await again.close() == 5
    assert desk.sources() == wanted(*range(5))


async def test_a_failed_commit_ends_the_processor(desk: Desk) -> None:
    """The error that cannot be repeated comes out of the next call, and nothing is let go."""

    def fail(step: str) -> None:
        if step == "data_synced":
            raise LakeError("OFFSETS_OVERLAP", "another writer")

    desk.on_step = fail
    await desk.send(*range(5))
    sink = await desk.opened()
    assert await sink.process(desk.records()) == 0
    with pytest.raises(LakeError, match="another writer"):
        await sink.close()


async def test_a_table_that_is_ahead_of_its_topic_is_refused(desk: Desk) -> None:
    """The topic was made anew: its messages would look old, and be dropped."""
    await desk.send(*range(5))
    sink = await desk.opened()
    await sink.process(desk.records())
    await sink.close()
    desk.broker.records["ticks", 0].clear()
    with pytest.raises(LakeAheadError, match=r"LAKE_AHEAD.*up to offset 4.*ends at 0"):
        await desk.opened()


async def test_partitions_share_a_table(desk: Desk) -> None:
    """Each has its own offsets; commits take turns."""
    await desk.send(*range(0, 20, 2), partition=0)
    await desk.send(*range(1, 20, 2), partition=1)
    sinks = [await desk.opened(partition) for partition in range(2)]
    await asyncio.gather(*(sink.process(desk.records(0, None, n)) for n, sink in enumerate(sinks)))
    assert await asyncio.gather(*(sink.close() for sink in sinks)) == [10, 10]
    assert desk.sources() == wanted(*range(20))
    assert desk.lake.range_faults(TICKS_V1) == []


async def test_a_revoked_sink_does_not_race_its_successor(desk: Desk) -> None:
    """The partition comes back to this process while the old sink's commit is under way."""
    await desk.send(*range(10))
    old = await desk.opened()
    await old.process(desk.records())
    new = await desk.opened()
    await new.process(desk.records())
    assert await new.close() == 10
    assert desk.sources() == wanted(*range(10))


async def test_large_messages_are_committed_by_their_bytes(tmp_path: Path) -> None:
    """A raw frame is one row of megabytes."""
    context = FlowContext(Settings(), tmp_path, MemoryBroker())
    sink = DeltaSink(context, "ticks.raw", 0, table=FRAMES_V1, form=FRAME_FORM)
    await sink.open()
    records = [Record("ticks.raw", 0, offset, None, bytes(MAX_BYTES // 3)) for offset in range(4)]
    await sink.process(records[:3])
    assert sink.stats()["commits"] == 0
    await sink.process(records[3:])
    assert await settled(sink) in {3, 4}
    await sink.close()
    assert Lake(tmp_path / "lake").rows(FRAMES_V1) == 4


def test_one_writer_for_each_table_in_a_process(tmp_path: Path) -> None:
    """All partitions and flows get the same one."""
    assert shared_writer(tmp_path, TICKS_V1, 10) is shared_writer(tmp_path, TICKS_V1, 10)
    assert shared_writer(tmp_path, TICKS_V1, 10) is not shared_writer(tmp_path, FRAMES_V1, 10)


def test_a_sink_writes_without_pandas(tmp_path: Path) -> None:
    """Arrow imports it in many conversions, which would cost each worker 1.5 s and 100 MB."""
    program = [sys.executable, "-m", "tests.streaming.sink_process", str(tmp_path)]
    done = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["rows 60", "pandas False"]


STEP = st.one_of(
    st.tuples(st.just("send"), st.integers(1, 6)),
    st.tuples(st.just("send again"), st.integers(1, 3)),
    st.tuples(st.just("junk"), st.just(1)),
    st.tuples(st.just("process"), st.integers(1, 8)),
    st.tuples(st.just("redeliver"), st.integers(1, 8)),
    st.tuples(st.just("wait"), st.integers(1, 6)),
    st.tuples(st.just("restart"), st.just(1)),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEP, max_size=25))
def test_any_order_of_events_writes_each_source_row_once(steps: list[tuple[str, int]]) -> None:
    """Sends, repeated sends, redeliveries, restarts and pauses, in any order."""
    with tempfile.TemporaryDirectory() as home:
        asyncio.run(play(Desk(Path(home)), steps))


async def play(desk: Desk, steps: list[tuple[str, int]]) -> None:
    """Play the steps, then drain and compare the table with what was sent."""
    sink = desk.sink()
    position = await sink.open() or 0
    released = 0
    for name, count in steps:
        if name == "send":
            await desk.send(*range(desk.sent + 1, desk.sent + 1 + count))
            desk.sent += count
        elif name == "send again":
            await desk.send(*range(max(0, desk.sent + 1 - count), desk.sent + 1))
        elif name == "junk":
            await desk.broker.append("ticks", 0, [(None, b"junk")])
        elif name in {"process", "redeliver"}:
            start = position if name == "process" else max(0, position - count)
            released = await sink.process(desk.records(start, position + count)) or released
            position = min(position + count, len(desk.records()))
        elif name == "wait":
            desk.now_s += count
            released = await sink.tick() or released
        else:
            sink = desk.sink()
            position = await sink.open() or 0
            assert position >= released
    await sink.process(desk.records(position))
    assert await sink.close() == len(desk.records())
    assert desk.sources() == wanted(*range(desk.sent + 1))
    assert desk.lake.range_faults(TICKS_V1) == []
