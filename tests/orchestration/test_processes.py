"""Children start, stop, crash, restart within a budget, and never outlive their parent."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from orchestration.processes import (
    CRASH_LIMIT,
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    Child,
    Command,
    Crash,
    RestartBudget,
    Supervised,
)
from tests.conftest import ROOT
from tests.orchestration.poll import until


def command(tmp_path: Path, what: str, port: int, *rest: str) -> Command:
    argv = (sys.executable, "-m", "tests.orchestration.fake_worker", str(port), what, *rest)
    return Command("fake", argv, {"PYTHONPATH": str(ROOT)}, tmp_path / "logs" / "fake.log")


def never() -> bool:
    return False


def alive(pid: int) -> bool:
    try:
        return str(psutil.Process(pid).status()) != "zombie"
    except psutil.NoSuchProcess:
        return False


def test_a_child_stops_on_sigterm_with_its_own_exit_code(tmp_path: Path, free_port: int) -> None:
    ready = tmp_path / "ready"
    child = Child(command(tmp_path, "ready", free_port, str(ready)))
    until(ready.exists, "the child is ready")
    assert child.stop(30.0, never) == 0


@pytest.mark.parametrize("grace_s", [0.0, 30.0])
def test_a_child_that_ignores_sigterm_is_killed_after_the_grace_or_at_once_when_hurried(
    tmp_path: Path, free_port: int, grace_s: float
) -> None:
    child = Child(command(tmp_path, "stubborn", free_port))
    assert child.stop(grace_s, lambda: True) in (-signal.SIGKILL, -signal.SIGTERM)


def test_grandchildren_in_sessions_of_their_own_die_too(tmp_path: Path, free_port: int) -> None:
    pids = tmp_path / "pids"
    child = Child(command(tmp_path, "family", free_port, str(pids)))
    until(lambda: pids.exists() and len(pids.read_text().split()) == 2, "both run")
    parent, grandchild = map(int, pids.read_text().split())
    child.stop(30.0, never)
    until(lambda: not alive(parent) and not alive(grandchild), "both are gone")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells a child of its parent's death only on Linux")
def test_a_child_dies_with_a_killed_parent(tmp_path: Path, free_port: int) -> None:
    ready = tmp_path / "ready"
    source = (
        "import sys, time; from pathlib import Path; from orchestration.processes import Child, Command;"
        f"Child(Command('fake', ({sys.executable!r}, '-m', 'tests.orchestration.fake_worker', '{free_port}', 'ready',"
        f" {str(ready)!r}), {{}}, Path({str(tmp_path / 'log')!r}))); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", source], cwd=ROOT)
    until(lambda: ready.exists() and ready.read_text() != "", "the child is ready")
    pid = int(ready.read_text())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    until(lambda: not alive(pid), "the child is gone")


def test_output_goes_to_the_log_and_a_later_start_appends(tmp_path: Path, free_port: int) -> None:
    first = Child(command(tmp_path, "crash", free_port))
    until(lambda: first.poll() is not None, "the first ends")
    second = Child(command(tmp_path, "crash", free_port))
    until(lambda: second.poll() is not None, "the second ends")
    assert first.log_start == 0
    assert second.log_start > 0
    assert second.command.log.read_text().count("LOG_TORN") == 2


def test_a_huge_log_is_put_aside(tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.processes.LOG_BYTES_MAX", 10)
    what = command(tmp_path, "crash", free_port)
    what.log.parent.mkdir()
    what.log.write_text("x" * 11)
    child = Child(what)
    until(lambda: child.poll() is not None, "it ends")
    assert child.log_start == 0
    assert what.log.with_suffix(".log.1").read_text() == "x" * 11


def test_the_budget_pauses_longer_each_time_and_then_ends() -> None:
    budget = RestartBudget()
    pauses = [budget.crashed(float(second)) for second in range(CRASH_LIMIT + 1)]
    assert pauses[0] == FIRST_PAUSE_S
    assert pauses[-1] is None
    known = [pause for pause in pauses if pause is not None]
    assert known == sorted(known)
    assert len(known) == CRASH_LIMIT
    assert max(known) <= LONGEST_PAUSE_S


def test_crashes_outside_the_window_are_forgotten() -> None:
    budget = RestartBudget(limit=2, window_s=10.0)
    assert [budget.crashed(s) for s in (0.0, 20.0, 40.0, 60.0)] == [FIRST_PAUSE_S] * 4


def test_a_crash_is_reported_once_and_started_again_when_due(tmp_path: Path, free_port: int) -> None:
    now = [0.0]
    mark = tmp_path / "mark"
    process = Supervised(command(tmp_path, "crash-once", free_port, str(mark)), RestartBudget(), lambda: now[0])
    process.start()
    crashes: list[Crash] = []

    def crashed() -> bool:
        crashes.extend(crash for crash in [process.check()] if crash)
        return bool(crashes)

    until(crashed, "the crash is seen")
    assert (crashes[0].code, crashes[0].pause_s) == (3, FIRST_PAUSE_S)
    assert process.check() is None
    now[0] = FIRST_PAUSE_S
    assert process.check() is None
    assert process.pid is not None
    assert process.restarts == 1
    until(lambda: process.runs, "it runs")
    process.stop(0.0, never)
    assert process.stop(0.0, never) is None
    process.signal(signal.SIGUSR1)
    assert not process.runs
