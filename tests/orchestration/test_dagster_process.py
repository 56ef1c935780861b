"""Dagster's processes start together on a new data folder, and find a storage that opens."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from orchestration.commands.plan import prepare_dagster_home
from orchestration.dagster_process import main, make_storage, wait_for_the_end
from tests.conftest import ROOT

# Four processes that open the storage at the same instant, as `trade up` starts two that start one each.
RACE = """
import os, signal, sys, time
from pathlib import Path
import dagster
from orchestration.dagster_process import make_storage
folder = Path(sys.argv[1])
go = time.monotonic() + 0.3
children = []
for _ in range(4):
    pid = os.fork()
    if not pid:
        while time.monotonic() < go:
            pass
        try:
            make_storage(folder)
        except BaseException as error:
            print(type(error).__name__, error, flush=True)
            os._exit(1)
        os._exit(0)
    children.append(pid)
sys.exit(any(os.waitpid(pid, 0)[1] for pid in children))
"""


def revisions(folder: Path) -> dict[str, int]:
    found = {}
    for file in folder.rglob("*.db"):
        with sqlite3.connect(file) as database:
            found[file.name] = len(database.execute("select * from alembic_version").fetchall())
        database.close()
    return found


def test_processes_that_start_together_make_one_storage(tmp_path: Path) -> None:
    folder = prepare_dagster_home(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", RACE, str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert revisions(folder) == {"runs.db": 1, "index.db": 1, "schedules.db": 1}


def test_a_storage_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    folder = prepare_dagster_home(tmp_path)
    make_storage(folder)
    before = revisions(folder)
    make_storage(folder)
    assert revisions(folder) == before


def test_the_program_runs_with_its_own_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(prepare_dagster_home(tmp_path)))
    monkeypatch.setattr(sys, "argv", ["dagster_process", "web", "--version"])
    with pytest.raises(SystemExit) as end:
        main(["web", "--version"])
    assert end.value.code == 0
    assert "version 1.13" in capsys.readouterr().out


def test_the_end_is_when_the_code_server_is_gone_and_not_before_it_is_there() -> None:
    looks = [False, False, False, True, True, False, True, False, False, True]
    left = iter(looks)
    wait_for_the_end(lambda: next(left), lambda: None)
    assert list(left) == [True]


def test_a_webserver_ends_when_its_code_server_is_killed() -> None:
    program = (
        "import sys, subprocess; from orchestration import dagster_process as d; d.LOOK_S = 0.05\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', 'api', 'grpc'])\n"
        "look = d._has_code_server\n"
        "d._has_code_server = lambda: look() and (print(child.pid, flush=True) or True)\n"
        "d._end_without_code_server()"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as web:
        assert web.stdout is not None
        psutil.Process(int(web.stdout.readline())).kill()
        _, errors = web.communicate(timeout=60)
    assert web.returncode == 1
    assert b"CODE_SERVER_GONE" in errors
