"""`trade up` with stand-ins for its children: what it shows, how it restarts, how it stops, what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestration.commands import up
from orchestration.commands.failure import CommandError
from orchestration.commands.page import Page
from orchestration.commands.plan import Plan, Worker
from orchestration.processes import Command
from streaming.settings import Settings
from tests.conftest import ROOT
from tests.orchestration.poll import until
from tests.ports import free_ports


class Recorder:
    """A view that remembers."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.pages: list[Page] = []
        self.links: dict[str, str] = {}
        self.closed = False

    def note(self, text: str, **_: Any) -> None:
        self.notes.append(text)

    def addresses(self, pages: Mapping[str, str]) -> None:
        self.links = dict(pages)

    def refresh(self, page: Page | None) -> None:
        if page is not None:
            self.pages.append(page)

    def close(self) -> None:
        self.closed = True


def fake(name: str, home: Path, port: int, what: str, *rest: str) -> Command:
    argv = (sys.executable, "-m", "tests.orchestration.fake_worker", str(port), what, *rest)
    return Command(name, argv, {"PYTHONPATH": str(ROOT)}, home / "logs" / f"{name}.log")


def worker(name: str, home: Path, port: int, what: str, *rest: str) -> Worker:
    return Worker(fake(name, home, port, what, *rest), ("127.0.0.1", port))


def plan(home: Path, port: int, what: str, *rest: str, dagster: tuple[Command, ...] = ()) -> Plan:
    workers = (worker("worker", home, port, what, *rest),)
    return Plan(Settings(home=home), home, workers, dagster, ("127.0.0.1", 0), None)


def test_a_run_with_an_end_stops_when_the_feed_is_drained(tmp_path: Path, free_port: int) -> None:
    view = Recorder()
    outcome = up.run(plan(tmp_path, free_port, "drained"), view, for_s=600.0)
    assert (outcome.exit_code, outcome.restarts) == (0, 0)
    assert view.pages[-1].ticks == 30
    assert view.links["status"] == f"http://127.0.0.1:{free_port}/status"
    assert view.closed


def test_a_run_with_an_end_stops_after_its_seconds(tmp_path: Path, free_port: int) -> None:
    outcome = up.run(plan(tmp_path, free_port, "ready"), Recorder(), for_s=0.5)
    assert outcome.exit_code == 0


def test_a_crash_is_named_with_its_reason_and_the_worker_is_started_again(tmp_path: Path, free_port: int) -> None:
    view = Recorder()
    outcome = up.run(plan(tmp_path, free_port, "crash-once", str(tmp_path / "mark")), view, for_s=600.0)
    assert (outcome.exit_code, outcome.restarts) == (0, 1)
    crash = view.notes[1]
    assert "worker ended with exit code 3" in crash
    assert "starting it again" in crash


def test_a_crash_is_told_to_the_broker_before_the_worker_starts_again(tmp_path: Path, free_port: int) -> None:
    mark = tmp_path / "told"
    argv = (sys.executable, "-c", f"open({str(mark)!r}, 'a').write('x')")
    crashing = plan(tmp_path, free_port, "crash-once", str(tmp_path / "mark"))
    told = replace(crashing, evict=Command("evict", argv, {}, tmp_path / "logs" / "worker.log"))
    outcome = up.run(told, Recorder(), for_s=600.0)
    assert (outcome.exit_code, outcome.restarts) == (0, 1)
    assert mark.read_text() == "x"


def test_what_works_beside_the_owner_rests_first_and_ends_last(tmp_path: Path) -> None:
    notes, ports = tmp_path / "notes", free_ports(2)
    names = ("orders", "market")
    workers = tuple(worker(name, tmp_path, port, name, str(notes)) for name, port in zip(names, ports, strict=True))
    view = Recorder()
    outcome = up.run(Plan(Settings(home=tmp_path), tmp_path, workers, (), ("127.0.0.1", 0), None), view, for_s=5.0)
    assert outcome.exit_code == 0
    assert notes.read_text().splitlines() == ["market quiet", "orders end", "market end"]
    assert len(set(outcome.pids)) == 2
    assert view.pages[-1].state == "ready"


def test_a_worker_that_crashes_too_often_stops_everything(
    tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.processes.FIRST_PAUSE_S", 0.01)
    view = Recorder()
    outcome = up.run(plan(tmp_path, free_port, "crash"), view, for_s=None)
    assert outcome.exit_code == 1
    crashes = [note for note in view.notes if "exit code 3" in note]
    assert len(crashes) == 6
    assert "LOG_TORN: the log is torn" in crashes[0]
    assert "stays down" in crashes[-1]


def test_a_refused_configuration_is_not_tried_again(tmp_path: Path, free_port: int) -> None:
    view = Recorder()
    outcome = up.run(plan(tmp_path, free_port, "config"), view, for_s=None)
    assert outcome.exit_code == 78
    assert "keys.json" in view.notes[0]
    assert "feed.rate: must be above 0" in view.notes[1]


def test_a_feed_that_cannot_be_read_is_not_tried_again(tmp_path: Path, free_port: int) -> None:
    view = Recorder()
    outcome = up.run(plan(tmp_path, free_port, "feed"), view, for_s=None)
    assert (outcome.exit_code, outcome.restarts) == (1, 0)
    assert outcome.pids[0] is not None
    assert "FEED_COLUMN_MISSING: no price" in view.notes[1]


def test_dagster_may_stay_down_without_ending_market_data(
    tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.processes.FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(up, "prepare_dagster_home", lambda home: home)
    view = Recorder()
    broken = fake("dagster-daemon", tmp_path, 0, "crash")
    outcome = up.run(plan(tmp_path, free_port, "ready", dagster=(broken,)), view, for_s=5.0)
    assert outcome.exit_code == 0
    assert any("market data goes on without it" in note for note in view.notes)


def test_a_dagster_that_does_not_get_ready_is_told_of(
    tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up, "DAGSTER_START_S", 0.0)
    monkeypatch.setattr(up, "prepare_dagster_home", lambda home: home)
    view = Recorder()
    web = fake("dagster-webserver", tmp_path, 0, "ready")
    up.run(plan(tmp_path, free_port, "ready", dagster=(web,)), view, for_s=1.5)
    assert any(note.startswith("Dagster is not ready: ") for note in view.notes)


def driver(tmp_path: Path, port: int, what: str, file: Path) -> "subprocess.Popen[str]":
    """Start a process that runs the platform until it is signalled."""
    source = (
        "import sys; from pathlib import Path; from orchestration.commands import up, view;"
        "from tests.orchestration.commands.test_up import plan;"
        f"sys.exit(up.run(plan(Path({str(tmp_path)!r}), {port}, {what!r}, {str(file)!r}),"
        " view.PlainView(), None).exit_code)"
    )
    return subprocess.Popen([sys.executable, "-c", source], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def only_pid(file: Path) -> int:
    until(lambda: file.exists() and file.read_text() != "", "the worker is ready")
    return int(file.read_text().split()[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_cleanly(tmp_path: Path, free_port: int, number: signal.Signals) -> None:
    process = driver(tmp_path, free_port, "ready", tmp_path / "pid")
    pid = only_pid(tmp_path / "pid")
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert "the workers first" in out
    assert not psutil.pid_exists(pid)


def test_a_second_signal_kills(tmp_path: Path, free_port: int) -> None:
    ready = tmp_path / "pid"
    process = driver(tmp_path, free_port, "stubborn", ready)
    worker = only_pid(ready)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert any("the workers first" in line for line in iter(process.stdout.readline, ""))
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "did not stop cleanly" in out
    assert not psutil.pid_exists(worker)


def test_one_platform_for_each_data_folder(tmp_path: Path) -> None:
    with up.holding(tmp_path), pytest.raises(CommandError, match="HOME_IN_USE"), up.holding(tmp_path):
        pass
    with up.holding(tmp_path):
        pass


def test_signal_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    requests = up.StopRequests()
    with requests.caught():
        os.kill(os.getpid(), signal.SIGTERM)
        assert requests.any()
        assert not requests.second()
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_page_of_the_stand_in_is_json() -> None:
    from tests.orchestration.fake_worker import DRAINED, PAGE

    assert Page(json.loads(json.dumps(DRAINED))).drained
    assert not Page(PAGE).drained
