"""The watches: a commit that stands still, and a loop that does not run."""

import asyncio
import threading
import time
from pathlib import Path

import pytest

from streaming.status import Board
from streaming.supervise import CommitWatch, LoopWatch, PlatformError
from streaming.transport.client import TopicSpec
from tests.streaming.memory_broker import MemoryBroker


class Setup:
    """A group with a settable lag and a clock that a test moves."""

    def __init__(self, home: Path) -> None:
        self.broker = MemoryBroker()
        self.board = Board(home, ["g"], "log")
        self.board.watch(self.broker, [TopicSpec("t", 1)], {"g": "t"})
        self.now = 0.0
        self.watch = CommitWatch(self.board, stall_s=30, clock=lambda: self.now)

    async def check(self, at: int, committed: int, *, excused: bool = False, each_s: int = 1) -> None:
        self.broker.offsets["g", "t", 0] = committed
        for now in range(min(int(self.now) + each_s, at), at + 1, each_s):
            self.now = now
            await self.board.refresh(force=True)
            self.watch.check(lambda _: excused)


async def test_a_commit_that_stands_still_with_lag_is_a_fault(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    await setup.broker.append("t", 0, [(None, b"x")] * 10)
    await setup.check(28, 1)
    await setup.check(29, 2)
    await setup.check(58, 2)
    with pytest.raises(PlatformError, match="8 records waiting") as caught:
        await setup.check(60, 2)
    assert caught.value.code == "COMMIT_STALLED"


async def test_no_lag_or_an_excuse_is_no_fault(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    await setup.check(0, 0)
    await setup.check(100, 0)
    await setup.broker.append("t", 0, [(None, b"x")])
    await setup.check(101, 0)
    await setup.check(150, 0, excused=True)
    await setup.check(179, 0)


async def test_a_process_that_was_suspended_has_not_stood_still(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    await setup.broker.append("t", 0, [(None, b"x")] * 10)
    await setup.check(1, 1)
    await setup.check(100, 1, each_s=99)
    await setup.check(129, 1)
    with pytest.raises(PlatformError, match="9 records waiting"):
        await setup.check(131, 1)


async def test_a_blocked_loop_is_noticed() -> None:
    watch = LoopWatch(beats=2, beat_s=0.02)
    blocked = threading.Event()
    watch.on_blocked = blocked.set
    watch.start()
    deadline = time.monotonic() + 20
    while not blocked.is_set() and time.monotonic() < deadline:
        time.sleep(0.01)  # noqa: ASYNC251 - blocking the loop is the point
    assert blocked.is_set()
    watch.stop()


async def test_a_running_loop_is_left_alone() -> None:
    watch = LoopWatch(beats=200, beat_s=0.005)
    blocked = threading.Event()
    watch.on_blocked = blocked.set
    watch.start()
    for _ in range(50):
        await asyncio.sleep(0.005)
    watch.stop()
    assert not blocked.is_set()
