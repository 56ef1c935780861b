"""The embedded broker under faults: a full disk, a failed sync, a second process, slow syncs."""

import asyncio
import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from streaming.transport.broker import OFFSETS_TOPIC, Broker, Fsync
from streaming.transport.client import BrokerError, TopicSpec
from tests.streaming.poll import until_sync
from tests.streaming.transport.apps import until

TOPIC = TopicSpec("t", 1)


def opened(folder: Path, fsync: Fsync = "batch", sync: Callable[[int], None] = os.fdatasync) -> Broker:
    """Return an open broker with one topic."""
    broker = Broker(folder, fsync, sync)
    broker.open()
    broker.create_topics([TOPIC])
    return broker


async def append(broker: Broker, *values: bytes) -> int:
    """Append values to the topic."""
    first, turn = broker.append(broker.partition("t", 0), [(None, value) for value in values])
    await turn
    return first


def values(broker: Broker) -> list[bytes | None]:
    """Return all values of the topic that readers may see."""
    return [frame.value for frame in broker.read(broker.partition("t", 0), 0, 1 << 60, 1 << 30)]


class Gate:
    """A sync that counts its calls and blocks while closed."""

    def __init__(self) -> None:
        self.calls = 0
        self.open = threading.Event()
        self.open.set()

    def __call__(self, fd: int) -> None:
        self.calls += 1
        assert self.open.wait(30)
        os.fdatasync(fd)


async def test_always_acknowledges_and_shows_after_the_sync_only(tmp_path: Path) -> None:
    gate = Gate()
    broker = opened(tmp_path, fsync="always", sync=gate)
    assert await append(broker, b"a") == 0
    gate.open.clear()
    waiting = asyncio.create_task(append(broker, b"b"))
    late = [asyncio.create_task(append(broker, b"c")) for _ in range(50)]
    await until(lambda: gate.calls >= 2)
    assert not waiting.done()
    assert values(broker) == [b"a"]
    gate.open.set()
    await asyncio.gather(waiting, *late)
    assert len(values(broker)) == 52
    assert gate.calls < 10
    await broker.close()


async def test_batch_acknowledges_before_the_sync(tmp_path: Path) -> None:
    gate = Gate()
    broker = opened(tmp_path, sync=gate)
    gate.open.clear()
    await append(broker, b"a")
    assert values(broker) == [b"a"]
    gate.open.set()
    await broker.close()
    assert gate.calls > 0


async def test_a_failed_sync_refuses_all_further_appends(tmp_path: Path) -> None:
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    broker = opened(tmp_path, fsync="always", sync=fail)
    with capture_logs() as lines:
        for _ in range(2):
            with pytest.raises(BrokerError, match="Input/output error") as refusal:
                await append(broker, b"a")
            assert (refusal.value.code, refusal.value.retriable) == ("FSYNC_FAILED", False)
    assert [line["event"] for line in lines] == ["fsync_failed"]
    assert values(broker) == []
    await broker.close()


async def test_one_cancelled_waiter_does_not_cancel_the_others(tmp_path: Path) -> None:
    broker = opened(tmp_path)
    tasks = [asyncio.create_task(append(broker, b"%d" % n)) for n in range(10)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[3], asyncio.CancelledError)
    assert [o for n, o in enumerate(outcomes) if n != 3] == [n for n in range(10) if n != 3]
    await broker.close()


async def test_close_writes_what_is_queued_and_refuses_what_comes_later(tmp_path: Path) -> None:
    broker = opened(tmp_path, fsync="off")
    _, turn = broker.append(broker.partition("t", 0), [(None, b"queued")])
    await broker.close()
    assert turn.done()
    with pytest.raises(BrokerError) as refusal:
        broker.append(broker.partition("t", 0), [(None, b"late")])
    assert refusal.value.code == "LOG_CLOSED"
    broker = opened(tmp_path)
    assert values(broker) == [b"queued"]
    await broker.close()


async def test_a_second_process_is_refused_with_the_folder(tmp_path: Path) -> None:
    broker = opened(tmp_path)
    code = (
        "import asyncio, sys\n"
        "from streaming.transport.client import BrokerError\n"
        "from streaming.transport.connect import connect\n"
        "async def main():\n"
        "    try: await connect(sys.argv[1]).start()\n"
        "    except BrokerError as error: print(error.code, error)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", code, f"log://{tmp_path}"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"LOG_IN_USE {tmp_path}: ")
    await broker.close()
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    assert done.stdout == ""


async def test_committed_offsets_survive_and_are_compacted(tmp_path: Path) -> None:
    broker = opened(tmp_path)
    await append(broker, *[b"v"] * 3_000)
    for offset in range(3_000):
        turn = broker.commit("group", {("t", 0): offset})
        assert turn is not None
        if offset % 100 == 0 or offset == 2_999:
            await turn
    assert broker.committed("group", "t", 0) == 2_999
    await broker.close()
    broker = opened(tmp_path)
    assert broker.committed("group", "t", 0) == 2_999
    assert broker.committed("other", "t", 0) is None
    assert broker.partition(OFFSETS_TOPIC, 0).log.end == 3_000
    await broker.close()


async def test_offsets_that_were_committed_of_lost_records_do_not_skip_those_to_come(tmp_path: Path) -> None:
    broker = opened(tmp_path)
    await append(broker, b"a", b"b", b"c")
    turn = broker.commit("group", {("t", 0): 3})
    assert turn is not None
    await turn
    broker.abandon()
    # A power cut may keep the commit and lose the newest record.
    file = next((tmp_path / "topics" / "t" / "0").glob("*.log"))
    os.truncate(file, file.stat().st_size - 1)
    broker = opened(tmp_path)
    assert broker.committed("group", "t", 0) == 2
    await broker.close()


async def test_another_retention_counts_from_the_next_start(tmp_path: Path) -> None:
    broker = opened(tmp_path)
    for _ in range(50):
        await append(broker, bytes(1_000))
    await broker.close()
    for _ in range(2):
        broker = Broker(tmp_path, "batch")
        broker.open()
        broker.create_topics([TOPIC._replace(retention_bytes=20_000)])
        for _ in range(30):
            await append(broker, bytes(1_000))
        log = broker.partition("t", 0).log
        assert 20_000 <= log.size < 30_000
        await broker.close()
    assert log.end == 110


async def test_a_compacted_topic_stays_small_and_keeps_the_newest_of_each_key(tmp_path: Path) -> None:
    broker = Broker(tmp_path, "batch")
    broker.open()
    broker.create_topics([TopicSpec("prices", 1, compacted=True, retention_bytes=200_000)])
    prices = broker.partition("prices", 0)
    for number in range(400):
        _, turn = broker.append(prices, [(b"key %d" % n, b"%06d" % number * 20) for n in range(20)])
        await turn
        await asyncio.sleep(0)
        await until(lambda: not broker.compacting)
    assert prices.log.size < 200_000 < 400 * 20 * 120
    await broker.close()
    broker = Broker(tmp_path, "batch")
    broker.open()
    frames = broker.read(broker.partition("prices", 0), 0, 1 << 60, 1 << 30)
    assert {f.key: f.value for f in frames} == {b"key %d" % n: b"%06d" % 399 * 20 for n in range(20)}
    assert [f.offset for f in frames] == sorted({f.offset for f in frames})
    assert frames[-1].offset == 400 * 20 - 1
    await broker.close()


async def compacting_rows(broker: Broker) -> int:
    """Write rows until they are being compacted; return how many."""
    broker.create_topics([TopicSpec("rows", 1, compacted=True, retention_bytes=4_000)])
    number = 0
    while not broker.compacting:
        _, turn = broker.append(broker.partition("rows", 0), [(b"key-%d" % (number % 5), b"x" * 100)])
        await turn
        number += 1
    return number


async def test_nothing_is_compacted_away_for_what_a_power_cut_may_take(tmp_path: Path) -> None:
    gate = Gate()
    broker = opened(tmp_path, sync=gate)
    gate.open.clear()
    number = await compacting_rows(broker)
    await until(lambda: gate.calls > 0)
    await asyncio.sleep(0)
    log = broker.partition("rows", 0).log
    assert (broker.compacting, len(log.read(0, number, 1 << 20))) == (True, number)
    gate.open.set()
    await until(lambda: not broker.compacting)
    assert len(log.read(0, number, 1 << 20)) < number
    await broker.close()


async def test_what_is_being_compacted_can_be_read_at_every_moment(tmp_path: Path) -> None:
    broker = opened(tmp_path / "log", fsync="always")
    number = await compacting_rows(broker)
    partition = broker.partition("rows", 0)
    folder = tmp_path / "log" / "topics" / "rows" / "0"
    sealed = len(partition.log.sealed)
    assert sealed > 1
    # The loop stands still until the thread has put the compacted file in the place of the others.
    until_sync(lambda: len(list(folder.glob("*.log"))) <= 2)
    rows = broker.read(partition, 0, number, 1 << 20)
    assert [row.offset for row in rows] == list(range(number))
    await until(lambda: not broker.compacting)
    assert {row.key for row in broker.read(partition, 0, number, 1 << 20)} == {b"key-%d" % n for n in range(5)}
    await broker.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 1 MB; skip where that is not permitted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        reason = done.stderr.strip() if done.returncode else ""
    except OSError as error:
        reason = str(error)
    if reason:
        pytest.skip(f"a small file system cannot be mounted here: {reason}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_full_disk_refuses_whole_appends_and_goes_on_when_space_returns(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(400_000))
    broker = opened(small_disk / "log")
    written: list[bytes] = []

    async def fill() -> None:
        for number in range(1_000):
            value = b"%04d" % number * 500
            await append(broker, value)
            written.append(value)

    with pytest.raises(BrokerError, match=str(small_disk)) as refusal:
        await fill()
    assert (refusal.value.code, refusal.value.retriable) == ("LOG_FULL", True)
    with pytest.raises(BrokerError):
        await append(broker, bytes(100_000))
    assert values(broker) == written
    ballast.unlink()
    assert await append(broker, b"after") == len(written)
    tail = broker.read(broker.partition("t", 0), len(written), len(written) + 1, 1_000)
    assert [frame.value for frame in tail] == [b"after"]
    await broker.close()
    broker = opened(small_disk / "log")
    assert values(broker) == [*written, b"after"]
    await broker.close()


class Life:
    """A broker with a source and what is derived from it, on a machine whose lives are named."""

    def __init__(self, folder: Path, boot: str, fsync: Fsync = "batch") -> None:
        self.gate = Gate()
        self.broker = Broker(folder, fsync, self.gate, boot)
        self.broker.open()
        self.broker.create_topics([TopicSpec("raw", 1), TopicSpec("derived", 1), TopicSpec("rows", 1, compacted=True)])

    async def write(self, *names: str) -> None:
        for name in names:
            for topic in ("raw", "derived", "rows"):
                turn = self.broker.append(self.broker.partition(topic, 0), [(b"key", name.encode())])[1]
                await turn
        turn_or_none = self.broker.commit("group", {("raw", 0): self.broker.partition("raw", 0).visible})
        assert turn_or_none is not None
        await turn_or_none

    async def synced(self) -> None:
        await until(lambda: self.broker._points.ends == self.broker._ends())

    def held(self) -> dict[str, list[bytes | None]]:
        partitions = {topic: self.broker.partition(topic, 0) for topic in ("raw", "derived", "rows")}
        return {
            name: [f.value for f in self.broker.read(each, 0, 1 << 60, 1 << 30)] for name, each in partitions.items()
        }


def wanted(*names: str) -> dict[str, list[bytes | None]]:
    return {topic: [name.encode() for name in names] for topic in ("raw", "derived", "rows")}


async def cut_off(folder: Path) -> None:
    """Leave a broker as it is when the power goes, with records behind its last sync."""
    before = Life(folder, "a")
    await before.write("one", "two")
    await before.synced()
    before.gate.open.clear()
    await before.write("three")
    # The power has kept what is derived, and taken its source.
    source = before.broker.partition("raw", 0).log.active
    os.truncate(source.path, source.size - 10)
    before.gate.open.set()
    before.broker._points._boot = ""
    before.broker.abandon()


async def test_after_a_power_cut_all_topics_are_at_one_moment_and_nothing_is_thrown_away(tmp_path: Path) -> None:
    await cut_off(tmp_path)
    with capture_logs() as lines:
        after = Life(tmp_path, "b")
    assert after.held() == wanted("one", "two")
    assert after.broker.committed("group", "raw", 0) == 2
    told = {
        (line["topic"], line["offset"], line["records_set_aside"]) for line in lines if line["event"] == "power_cut"
    }
    assert told == {("derived", 2, 1), ("rows", 2, 1), (OFFSETS_TOPIC, 1, 1)}
    assert b"three" in next((tmp_path / "topics" / "derived" / "0").glob("*.unsynced")).read_bytes()
    await after.write("four")
    after.broker.abandon()
    again = Life(tmp_path, "b")
    assert again.held() == wanted("one", "two", "four"), "this life of the machine has lost nothing"
    await again.broker.close()
    third = Life(tmp_path, "c")
    assert third.held() == wanted("one", "two", "four"), "a clean end is a sync of all"
    await third.broker.close()


async def test_a_process_that_dies_loses_nothing_that_it_has_written(tmp_path: Path) -> None:
    before = Life(tmp_path, "a")
    await before.write("one")
    await before.synced()
    before.gate.open.clear()
    await before.write("two")
    before.gate.open.set()
    before.broker.abandon()
    after = Life(tmp_path, "a")
    assert after.held() == wanted("one", "two")
    await after.broker.close()


@pytest.mark.parametrize("fsync", ["always", "off"])
async def test_other_modes_keep_no_point(tmp_path: Path, fsync: Fsync) -> None:
    await cut_off(tmp_path)
    other = Life(tmp_path, "b", fsync)
    assert other.held() == wanted("one", "two")
    await other.write("three")
    other.broker.abandon()
    after = Life(tmp_path, "c")
    assert after.held() == wanted("one", "two", "three")
    await after.broker.close()
