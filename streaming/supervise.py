"""Watches a worker from inside: a crash, a dead task, a commit that stands still, a blocked loop. None stays silent."""

import asyncio
import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping

from streaming.status import Board

STALL_S = 30.0
# The watch looks about each second: after such a pause the whole process was suspended, and no group has stood still.
SUSPENDED_S = 15.0
LOOP_BEAT_S = 1.0
LOOP_BLOCKED_BEATS = 30
EXIT_FAILED = 1


class PlatformError(Exception):
    """A worker that cannot go on. `code` is stable, `exit_code` is that of the process."""

    def __init__(self, code: str, message: str, exit_code: int = EXIT_FAILED) -> None:
        super().__init__(message)
        self.code = code
        self.exit_code = exit_code


class CommitWatch:
    """Finds the group whose commit stands still although records wait for it."""

    def __init__(self, board: Board, stall_s: float = STALL_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._board = board
        self._stall_s = stall_s
        self._clock = clock
        self._looked_s = clock()
        self._moved: dict[str, tuple[Mapping[str, int | None], float]] = {}

    def check(self, excused: Callable[[str], bool]) -> None:
        """Raise COMMIT_STALLED for a group that has lag and did not move; `excused(group)` restarts its time."""
        now = self._clock()
        suspended, self._looked_s = now - self._looked_s > SUSPENDED_S, now
        for group, committed in self._board.committed().items():
            before = self._moved.get(group)
            idle = self._board.lags()[group] == 0
            if before is None or before[0] != committed or idle or suspended or excused(group):
                self._moved[group] = (committed, now)
            elif now - before[1] > self._stall_s:
                lag = self._board.lags()[group]
                message = f"group {group} has not committed for {self._stall_s:.0f} s with {lag} records waiting"
                raise PlatformError("COMMIT_STALLED", message)


class LoopWatch:
    """A thread that ends the process when the event loop does not run for `beats` seconds of the thread's own life.

    Beats are counted, not measured: a process that was suspended has not been blocked.
    """

    def __init__(self, beats: int = LOOP_BLOCKED_BEATS, beat_s: float = LOOP_BEAT_S) -> None:
        self._beats, self._beat_s = beats, beat_s
        self._missed = 0
        self._stop = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._watch, name="loop-watch", daemon=True)
        self.on_blocked: Callable[[], None] = _end_process

    def start(self) -> None:
        """Start to watch the running loop."""
        self._alive()
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()
        self._timer.cancel()
        self._thread.join()

    def _alive(self) -> None:
        self._missed = 0
        self._timer = self._loop.call_later(self._beat_s, self._alive)

    def _watch(self) -> None:
        while not self._stop.wait(self._beat_s):
            self._missed += 1
            if self._missed > self._beats:
                self.on_blocked()
                return


def _end_process() -> None:
    sys.stderr.write('{"level": "critical", "event": "loop_blocked", "code": "LOOP_BLOCKED"}\n')
    faulthandler.dump_traceback(sys.stderr)
    sys.stderr.flush()
    os._exit(EXIT_FAILED)
