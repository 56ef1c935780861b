"""Child processes: each leads its own session, writes to its own log file and does not outlive its parent.

A crash is answered with a restart after a growing pause, within a budget. Nothing here knows what a child does.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

CRASH_LIMIT = 5
CRASH_WINDOW_S = 60.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 8.0
POLL_S = 0.05
KILL_WAIT_S = 5.0
LOG_BYTES_MAX = 64 << 20
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Command:
    """What to start: a short name for people, the arguments, variables on top of ours, and the log file."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    log: Path


class Child:
    """One running process and everything that it started."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self._asked: list[psutil.Process] | None = None
        self.log_start = _open_log_end(command.log)
        with command.log.open("ab") as log:
            self._process = subprocess.Popen(
                command.argv,
                env=os.environ | dict(command.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent(),
            )

    @property
    def pid(self) -> int:
        """Return the process id, which is the id of the process group too."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit code (negative: the signal), or None while it runs."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        self._process.send_signal(number)

    def ask(self) -> list[psutil.Process]:
        """Ask it to stop with SIGTERM, once; return what it had started by then."""
        if self._asked is None:
            self._asked = _descendants(self.pid)
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
        return self._asked

    def stop(self, grace_s: float, hurry: Callable[[], bool]) -> int:
        """Ask and wait; kill after `grace_s` or as soon as `hurry()`. Return the exit code."""
        family = self.ask()
        deadline = time.monotonic() + grace_s
        while self.poll() is None and time.monotonic() < deadline and not hurry():
            time.sleep(POLL_S)
        self.kill(family)
        return self._process.wait()

    def kill(self, family: list[psutil.Process] | None = None) -> None:
        """End the process and all that it started, at once."""
        family = _descendants(self.pid) if family is None else family
        if self.poll() is None:
            self._process.kill()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=KILL_WAIT_S)


class RestartBudget:
    """How often a child may crash: more than `limit` times within `window_s` and it stays down."""

    def __init__(self, limit: int = CRASH_LIMIT, window_s: float = CRASH_WINDOW_S) -> None:
        self._limit = limit
        self._window_s = window_s
        self._crashes: deque[float] = deque(maxlen=limit + 1)

    def crashed(self, now_s: float) -> float | None:
        """Count a crash; return the pause in seconds before the next start, or None when the budget is spent."""
        self._crashes.append(now_s)
        recent = sum(now_s - crash <= self._window_s for crash in self._crashes)
        if recent > self._limit:
            return None
        return min(FIRST_PAUSE_S * 2.0 ** (recent - 1), LONGEST_PAUSE_S)


@dataclass(frozen=True, slots=True)
class Crash:
    """A child that ended without being told to; `pause_s` is None when it will not be started again."""

    child: Child
    code: int
    pause_s: float | None


class Supervised:
    """A child that is started again after a crash, within its budget."""

    def __init__(self, command: Command, budget: RestartBudget, clock: Callable[[], float] = time.monotonic) -> None:
        self.command = command
        self.restarts = 0
        self.last_pid: int | None = None
        self._budget = budget
        self._clock = clock
        self._child: Child | None = None
        self._due_s: float | None = None

    @property
    def pid(self) -> int | None:
        """Return the process id while it runs."""
        return self._child.pid if self._child is not None else None

    def start(self) -> None:
        """Start the process."""
        self._due_s = None
        self._child = Child(self.command)
        self.last_pid = self._child.pid

    def check(self) -> Crash | None:
        """Look once: report a crash, or start again what is due."""
        if self._child is not None:
            code = self._child.poll()
            if code is None:
                return None
            child, self._child = self._child, None
            child.kill()
            pause_s = self._budget.crashed(self._clock())
            self._due_s = None if pause_s is None else self._clock() + pause_s
            return Crash(child, code, pause_s)
        if self._due_s is not None and self._clock() >= self._due_s:
            self.restarts += 1
            self.start()
        return None

    @property
    def runs(self) -> bool:
        """Tell whether the process runs at this moment."""
        return self._child is not None and self._child.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self._child is not None:
            self._child.signal(number)

    def ask(self) -> None:
        """Ask it to stop, without waiting; `stop` follows."""
        self._due_s = None
        if self._child is not None:
            self._child.ask()

    def stop(self, grace_s: float, hurry: Callable[[], bool]) -> int | None:
        """Stop it for good; return the exit code, or None if it was not running."""
        child, self._child, self._due_s = self._child, None, None
        return None if child is None else child.stop(grace_s, hurry)


def _open_log_end(log: Path) -> int:
    log.parent.mkdir(parents=True, exist_ok=True)
    size = log.stat().st_size if log.exists() else 0
    if size > LOG_BYTES_MAX:
        log.replace(log.with_suffix(log.suffix + ".1"))
        return 0
    return size


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _die_with_parent() -> Callable[[], None] | None:
    """Return what the new process runs before exec so that it gets SIGTERM when we die (Linux only)."""
    if sys.platform != "linux":
        return None
    libc, parent = ctypes.CDLL(None), os.getpid()

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return ask
