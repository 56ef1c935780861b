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


async def test_what_is_being_compacted_can_be_read_at_every_moment(tmp_path: Path) -> None:
    broker = opened(tmp_path / "log")
    broker.create_topics([TopicSpec("rows", 1, compacted=True, retention_bytes=4_000)])
    partition = broker.partition("rows", 0)
    folder = tmp_path / "log" / "topics" / "rows" / "0"
    number = 0
    while not broker.compacting:
        _, turn = broker.append(partition, [(b"key-%d" % (number % 5), b"x" * 100)])
        await turn
        number += 1
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
