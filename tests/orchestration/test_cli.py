"""The command line: help, version, refusals with exit codes, and programs that take over."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.cli import Bench
from tests.conftest import ROOT
from tests.orchestration.fake_worker import PAGE, serve

HEAVY = ("dagster", "faust", "fastapi", "deltalake", "pyarrow", "pydantic", "numba", "rich", "duckdb", "aiokafka")


def trade(home: Path, *args: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    env = {name: value for name, value in os.environ.items() if not name.startswith("TRADE_")}
    env |= {"TRADE_HOME": str(home), "PYTHONPATH": str(ROOT)} | variables
    argv = [sys.executable, "-m", "orchestration", *args]
    return subprocess.run(argv, env=env, cwd=home, capture_output=True, text=True, timeout=120, check=False)


def test_help_names_every_command(tmp_path: Path) -> None:
    done = trade(tmp_path, "--help")
    assert done.returncode == 0
    for command in ("up", "worker", "status", "order", "orders", "why", "kill", "backtest", "gate", "bench"):
        assert f"\n  {command} " in done.stdout


def test_version(tmp_path: Path) -> None:
    done = trade(tmp_path, "--version")
    assert (done.returncode, done.stdout.split()[0]) == (0, "trade")


def test_help_loads_nothing_heavy() -> None:
    source = f"import sys, orchestration.cli; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("up", "--feed", "foo"), "TRADE_FEED__SOURCE"),
        (("up", "--feed", "replay:no.parquet"), "feed.source: no such file"),
        (("up", "--broker", "redis://x"), "TRADE_BROKER"),
        (("up", "--report", "out.json"), "--report needs --for"),
        (("up", "--config", "absent.toml"), "absent.toml: (file)"),
        (("status", "--config", "absent.toml"), "absent.toml: (file)"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_78(tmp_path: Path, args: tuple[str, ...], words: str) -> None:
    done = trade(tmp_path, *args)
    assert done.returncode == 78
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("option", ["--entry-z", "--fee-bps", "--participation"])
@pytest.mark.parametrize("value", ["nan", "inf", "1e30"])
def test_what_is_no_finite_figure_is_refused(tmp_path: Path, option: str, value: str) -> None:
    done = trade(tmp_path, "backtest", "sma", "--data", "absent.parquet", option, value)
    assert done.returncode == 2
    assert option in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_file_names_file_key_and_rule(tmp_path: Path) -> None:
    (tmp_path / "trade.toml").write_text("[feed]\nrate = -1\n")
    done = trade(tmp_path, "up", "--for", "1")
    assert done.returncode == 78
    assert all(word in done.stderr for word in ("trade.toml", "feed.rate", "greater than"))


def test_a_taken_port_is_named_with_its_setting(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = trade(tmp_path, "up", "--for", "1", TRADE_HTTP__PORT=str(port))
    assert done.returncode == 1
    assert all(word in done.stderr for word in ("PORT_IN_USE", str(port), "http.port", "TRADE_HTTP__PORT"))


def test_status_of_nothing_says_what_to_do(tmp_path: Path, free_port: int) -> None:
    done = trade(tmp_path, "status", TRADE_HTTP__PORT=str(free_port))
    assert done.returncode == 1
    assert "trade up" in done.stdout


def test_status_of_a_running_worker(tmp_path: Path, free_port: int) -> None:
    serve(free_port, PAGE)
    done = trade(tmp_path, "status", TRADE_HTTP__PORT=str(free_port))
    assert done.returncode == 0
    assert "fake (SIM), 50.0% delivered" in done.stdout
    as_json = trade(tmp_path, "status", "--json", TRADE_HTTP__PORT=str(free_port))
    assert json.loads(as_json.stdout)["page"] == PAGE


def test_status_after_a_stop_shows_the_last_page(tmp_path: Path, free_port: int) -> None:
    (tmp_path / "status").mkdir()
    (tmp_path / "status" / "streaming.json").write_text(json.dumps(PAGE | {"state": "stopped"}))
    done = trade(tmp_path, "status", TRADE_HTTP__PORT=str(free_port))
    assert done.returncode == 1
    assert "not running" in done.stdout
    assert "stopped" in done.stdout


def test_every_benchmark_program_has_its_command() -> None:
    programs = {path.stem for path in (ROOT / "streaming" / "bench").glob("*.py") if "\ndef main(" in path.read_text()}
    assert {bench.value for bench in Bench} == programs


def test_an_unknown_benchmark_is_refused(tmp_path: Path) -> None:
    done = trade(tmp_path, "bench", "nope")
    assert done.returncode == 2
    assert "transport" in done.stderr
