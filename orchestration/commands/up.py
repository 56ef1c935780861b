"""`trade up`: start the streaming worker and Dagster, watch them, show them, and stop them in the right order.

The workers are stopped first and drain, in the order of the data; Dagster after them. A second signal kills. Nothing
is left running.
"""

import contextlib
import fcntl
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from orchestration.commands import dagster_health, overview
from orchestration.commands import page as pages
from orchestration.commands.account import last_words
from orchestration.commands.failure import EXIT_CONFIG, EXIT_FAILED, EXIT_FEED, CommandError, home_in_use, home_unusable
from orchestration.commands.plan import Plan, prepare_dagster_home
from orchestration.commands.pulse import Probe, Pulse, Sight
from orchestration.commands.view import View
from orchestration.gate.site import KEYS_FILE
from orchestration.processes import Child, Crash, RestartBudget, Supervised

TURN_S = 0.1
REFRESH_S = 0.5
# Above the bound of the worker itself (60 s to drain, 10 s to stop): this one only ends a worker that hangs.
WORKER_GRACE_S = 90.0
# What a busy worker may take to answer that it is there.
BUSY_S = 10.0
DAGSTER_GRACE_S = 15.0
# It needs 20 s on an idle machine; after this long a person is told what it waits for.
DAGSTER_START_S = 120.0
_AT_WORK = ("starting", "ready", "draining")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequests:
    """Counts the signals that ask us to stop."""

    def __init__(self) -> None:
        self.count = 0

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Count instead of dying, while the block runs."""
        before = {number: signal.signal(number, self._count) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _count(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1

    def any(self) -> bool:
        """Tell whether somebody asked."""
        return self.count > 0

    def second(self) -> bool:
        """Tell whether somebody asked twice."""
        return self.count > 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: the exit code so far, from start to drained in seconds, restarts, pids of the last workers."""

    exit_code: int
    run_s: float
    restarts: int
    pids: tuple[int | None, ...]


class Platform:
    """The running children of one plan."""

    def __init__(self, plan: Plan, view: View, requests: StopRequests) -> None:
        self._plan, self._view, self._requests = plan, view, requests
        self._workers = [Supervised(worker.command, RestartBudget()) for worker in plan.workers]
        self._dagster = [Supervised(command, RestartBudget()) for command in plan.dagster]
        self._evicting: Child | None = None
        self._exit_code = 0
        self._page: pages.Page | None = None
        self._pulse = Pulse(*plan.up, self._sights, self._probes())
        self._dagster_ready: bool | None = None
        self._began_s = time.monotonic()

    def run(self, for_s: float | None) -> Outcome:
        """Run until asked to stop, until `for_s` is over or the feed has ended, or until the worker stays down."""
        began = time.monotonic()
        self._pulse.start()
        try:
            self._start()
            self._watch(None if for_s is None else began + for_s)
            pids = tuple(worker.last_pid for worker in self._workers)
        finally:
            self._stop_workers()
            run_s = time.monotonic() - began
            self._stop_dagster()
            self._pulse.stop()
        return Outcome(self._exit_code, run_s, sum(worker.restarts for worker in self._workers), pids)

    def _start(self) -> None:
        if self._dagster:
            prepare_dagster_home(self._plan.home)
        for process in (*self._workers, *self._dagster):
            process.start()
        self._view.addresses(self._plan.addresses)
        host, port = self._plan.http[0]
        self._view.note(
            f"orders   http://{host}:{port} for Alpaca's clients, with the keys in {self._plan.home / KEYS_FILE}"
        )

    def _watch(self, until: float | None) -> None:
        refresh_at = 0.0
        while not self._requests.any() and not self._exit_code:
            for process in (*self._workers, *self._dagster):
                crash = process.check()
                if crash is not None:
                    self._answer(crash, process in self._workers)
            if time.monotonic() >= refresh_at:
                refresh_at = time.monotonic() + REFRESH_S
                self._page = overview.fetch(self._plan.http)
                self._view.refresh(self._page)
                self._tell_of_dagster(time.monotonic() - self._began_s)
                if until is not None and self._page is not None and self._page.ended:
                    return
            if until is not None and time.monotonic() >= until:
                return
            time.sleep(TURN_S)

    def _sights(self) -> list[Sight]:
        return [Sight(each.command.name, each.pid, each.restarts) for each in (*self._workers, *self._dagster)]

    def _probes(self) -> dict[str, Probe]:
        parts = urlsplit(self._plan.dagster_url or "")
        probes: dict[str, Probe] = {
            worker.command.name: partial(_worker_reasons, *worker.http) for worker in self._plan.workers
        }
        if self._dagster:
            probes[self._plan.dagster[0].name] = partial(dagster_health.reasons, parts.hostname or "", parts.port or 0)
        return probes

    def _tell_of_dagster(self, up_s: float) -> None:
        """Say once that Dagster is ready or does not get ready, and later whenever that changes."""
        if not self._dagster:
            return
        late = self._pulse.reasons(self._dagster[0].command.name)
        if self._dagster_ready is None and late and up_s < DAGSTER_START_S:
            return
        if self._dagster_ready != (not late):
            self._dagster_ready = not late
            self._view.note(f"Dagster is not ready: {'; '.join(late)}" if late else "Dagster is ready")

    def _answer(self, crash: Crash, is_worker: bool) -> None:
        name = crash.child.command.name
        words = last_words(crash.child, crash.code)
        if is_worker and self._plan.evict is not None:
            self._end_evicting()
            self._evicting = Child(self._plan.evict)
        if is_worker and crash.code in (EXIT_CONFIG, EXIT_FEED):
            self._exit_code = EXIT_CONFIG if crash.code == EXIT_CONFIG else EXIT_FAILED
            self._view.note(words, process=name, code=crash.code)
        elif crash.pause_s is not None:
            self._view.note(f"{words}; starting it again in {crash.pause_s:g} s", process=name, code=crash.code)
        elif is_worker:
            self._exit_code = EXIT_FAILED
            self._view.note(f"{words}; it crashed too often and stays down", process=name, code=crash.code)
        else:
            self._view.note(f"{words}; it stays down, market data goes on without it", process=name, code=crash.code)

    def _end_evicting(self) -> None:
        if self._evicting is not None:
            self._evicting.kill()
            self._evicting = None

    def _stop_workers(self) -> None:
        self._view.note("stopping: the workers first, they drain ...")
        self._quiet_beside()
        codes = {worker.command.name: worker.stop(WORKER_GRACE_S, self._requests.second) for worker in self._workers}
        self._end_evicting()
        self._view.refresh(overview.last(self._plan.home))
        for name, code in codes.items():
            if code not in (0, None):
                self._exit_code = self._exit_code or (EXIT_CONFIG if code == EXIT_CONFIG else EXIT_FAILED)
                self._view.note(f"{name} did not stop cleanly (code {code}); what was acknowledged is kept")

    def _quiet_beside(self) -> None:
        """Let what works beside the owner of the orders come to rest before he stops; sinks follow him to the end."""
        deadline = time.monotonic() + WORKER_GRACE_S
        for worker, (host, port) in list(zip(self._workers, self._plan.http, strict=True))[1:]:
            # Before it answers it has not begun, and does not know the signal.
            if pages.fetch(host, port, BUSY_S) is None:
                continue
            worker.signal(signal.SIGUSR1)
            while worker.runs and time.monotonic() < deadline and not self._requests.second():
                page = pages.fetch(host, port)
                if page is not None and page.state not in _AT_WORK:
                    break
                time.sleep(TURN_S)

    def _stop_dagster(self) -> None:
        for process in self._dagster:
            process.ask()
        for process in self._dagster:
            process.stop(DAGSTER_GRACE_S, self._requests.second)


def _worker_reasons(host: str, port: int) -> list[str]:
    page = pages.fetch(host, port)
    return [] if page is not None and page.state == "ready" else [page.state if page is not None else "no answer"]


@contextlib.contextmanager
def holding(home: Path) -> Iterator[None]:
    """Hold the data folder while the block runs; refuse if another `trade up` holds it."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / "up.lock").open("ab")
    except OSError as error:
        raise home_unusable(home, error) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise home_in_use(home) from None
        yield


def run(plan: Plan, view: View, for_s: float | None) -> Outcome:
    """Run the platform in this terminal."""
    requests = StopRequests()
    try:
        with requests.caught():
            return Platform(plan, view, requests).run(for_s)
    except OSError as error:
        raise CommandError("START_FAILED", str(error), "see the logs folder under TRADE_HOME") from None
    finally:
        view.close()
