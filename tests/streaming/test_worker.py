"""The worker as a real process on `log://`: start, stop, signals, refusals, crashes and poison."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from numpy._core.multiarray import _set_madvise_hugepage  # type: ignore[attr-defined]  # no stub

from streaming.settings import ConfigError
from streaming.worker import KNOWN, _configured, flows_of, parse, take_small_pages
from tests.streaming.poll import until_sync
from tests.streaming.probe_flow import FLOW
from tests.streaming.worker_process import PROBE, ROOT, WorkerProcess, give, lines

HEAVY = ("pandas", "feast", "mlflow", "sklearn", "dagster")


def test_numpy_takes_small_pages() -> None:
    before = _set_madvise_hugepage(True)
    take_small_pages()
    assert _set_madvise_hugepage(before) is False


def test_ready_status_and_a_clean_stop(tmp_path: Path) -> None:
    give(tmp_path, "a", "b", "c", "d", "stay")
    with WorkerProcess(tmp_path) as worker:
        worker.until_ready()
        assert worker.get("/health/ready") == (200, {"status": "ready"})
        assert worker.get("/health/live")[0] == 200
        until_sync(lambda: worker.get("/status")[1]["flows"]["probe"]["0"]["rows"] == 5)
        page = worker.get("/status")[1]
        assert (page["state"], page["roles"], page["broker"]) == ("ready", ["probe-source", "probe"], "log")
        assert page["topics"]["probe"]["0"] == {"begin": 0, "end": 5}
        assert page["feed"]["frames"] == 5
        worker.signal()
        code, _ = worker.end()
        assert code == 0
        last = worker.status()
    assert (last["state"], last["error"]) == ("stopped", None)
    assert last["groups"]["probe"] == {"topic": "probe", "committed": {"0": 5}, "lag": 0}
    assert lines(tmp_path) == ["0 a", "1 b", "2 c", "3 d", "4 stay"]


def test_ctrl_c_flushes_what_is_pending(tmp_path: Path) -> None:
    give(tmp_path, "a", "stay")
    with WorkerProcess(tmp_path) as worker:
        worker.until_ready()
        worker.signal(signal.SIGINT)
        code, errors = worker.end()
        assert (code, lines(tmp_path)) == (0, ["0 a", "1 stay"])
        assert "Traceback" not in errors
        assert worker.status()["groups"]["probe"]["lag"] == 0


def test_it_comes_to_rest_when_told_and_ends_when_asked(tmp_path: Path) -> None:
    give(tmp_path, "a", "stay")
    with WorkerProcess(tmp_path) as worker:
        worker.until_ready()
        worker.signal(signal.SIGUSR1)
        until_sync(lambda: worker.get("/status")[1]["state"] == "quiet")
        worker.signal()
        assert worker.end()[0] == 0
        assert worker.status()["state"] == "stopped"
    assert lines(tmp_path) == ["0 a", "1 stay"]


@pytest.mark.parametrize("option", [("--until-drained",), ("--for", "0.2")])
def test_it_stops_by_itself(tmp_path: Path, option: tuple[str, ...]) -> None:
    give(tmp_path, "a", "b")
    with WorkerProcess(tmp_path, "--flow", f"{PROBE}SOURCE", "--flow", f"{PROBE}FLOW", *option) as worker:
        assert worker.end()[0] == 0
    assert lines(tmp_path) == ["0 a", "1 b"]


def test_a_second_signal_ends_it_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    give(tmp_path, "a", "hang")
    with WorkerProcess(tmp_path) as worker:
        worker.until_ready()
        until_sync(lambda: worker.get("/status")[1]["topics"]["probe"]["0"]["end"] == 2)
        worker.signal()
        until_sync(lambda: worker.get("/status")[1]["state"] == "draining")
        code, page = worker.get("/health/ready")
        assert (code, page["code"]) == (503, "NOT_READY")
        worker.signal()
        assert worker.end()[0] == 128 + signal.SIGTERM
    assert lines(tmp_path) == []
    with WorkerProcess(tmp_path, "--flow", "tests.streaming.gentle_flow:FLOW", "--for", "0.3") as worker:
        assert worker.end()[0] == 0
    assert lines(tmp_path) == ["0 a", "1 hang"]


def test_a_crash_is_exit_1_and_the_record_comes_again(tmp_path: Path) -> None:
    give(tmp_path, "a", "raise-once", "b")
    with WorkerProcess(tmp_path) as worker:
        code, errors = worker.end()
        assert code == 1
        assert worker.status()["error"] == {
            "code": "ROLE_FAILED",
            "message": "probe: ValueError: the processor failed once",
        }
        assert all(json.loads(line) for line in errors.splitlines())
    with WorkerProcess(tmp_path, "--flow", f"{PROBE}SOURCE", "--flow", f"{PROBE}FLOW", "--until-drained") as worker:
        assert worker.end()[0] == 0
    assert lines(tmp_path) == ["0 a", "1 raise-once", "2 b"]


def test_poison_is_skipped_after_three_failing_starts(tmp_path: Path) -> None:
    give(tmp_path, "a", "raise", "b")
    for _ in range(3):
        with WorkerProcess(tmp_path) as worker:
            assert worker.end()[0] == 1
    with WorkerProcess(tmp_path, "--flow", f"{PROBE}SOURCE", "--flow", f"{PROBE}FLOW", "--until-drained") as worker:
        assert worker.end()[0] == 0
        page = worker.status()
    assert lines(tmp_path) == ["0 a", "2 b"]
    assert page["topics"]["deadletter"]["0"]["end"] == 1
    assert page["groups"]["probe"]["lag"] == 0


def test_after_kill_9_each_record_is_there_once(tmp_path: Path) -> None:
    give(tmp_path, *[f"v{n}" for n in range(50)], "stay")
    with WorkerProcess(tmp_path) as worker:
        until_sync(lambda: len(lines(tmp_path)) > 10)
        worker.kill()
    with WorkerProcess(tmp_path) as worker:
        worker.until_ready()
        worker.signal()
        assert worker.end()[0] == 0
    assert lines(tmp_path) == [f"{n} v{n}" for n in range(50)] + ["50 stay"]


def test_a_second_instance_is_refused(tmp_path: Path) -> None:
    give(tmp_path, "stay")
    with WorkerProcess(tmp_path) as worker:
        worker.until_ready()
        with WorkerProcess(tmp_path) as second:
            code, errors = second.end()
        assert code == 69
        assert "another process has this log open" in errors
        assert worker.get("/health/ready")[0] == 200


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with WorkerProcess(tmp_path, env={"TRADE_HTTP__PORT": port}) as worker:
            code, errors = worker.end()
    assert code == 78
    assert errors.startswith("CONFIG_REFUSED environment: TRADE_HTTP__PORT: cannot listen on")
    assert port in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("text", "env", "said"),
    [
        ("[feed]\nrate = -1\n", {}, "trade.toml: feed.rate: Input should be greater than"),
        ("", {"TRADE_FSYNC": "never"}, "environment: TRADE_FSYNC: Input should be"),
        ("profile = 'service'\n", {}, "trade.toml: broker: profile"),
    ],
)
def test_a_wrong_setting_is_exit_78_on_one_line(tmp_path: Path, text: str, env: dict[str, str], said: str) -> None:
    (tmp_path / "trade.toml").write_text(text)
    with WorkerProcess(tmp_path, env=env) as worker:
        code, errors = worker.end()
    assert code == 78
    assert errors.startswith(f"CONFIG_REFUSED {said}")
    assert errors.count("\n") == 1


def test_a_feed_that_does_not_exist_is_exit_78(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path, "ingest", "--feed", f"replay:{tmp_path}/none.parquet") as worker:
        code, errors = worker.end()
    assert (code, errors.count("CONFIG_REFUSED")) == (78, 1)
    assert "CONFIG_REFUSED command line: --feed: FEED_FILE_MISSING" in errors
    assert '"exit_code": 78' in errors
    (tmp_path / "trade.toml").write_text('[feed]\nsource = "replay:none.parquet"\n')
    with WorkerProcess(tmp_path, "ingest") as worker:
        code, errors = worker.end()
    assert code == 78
    assert "CONFIG_REFUSED trade.toml: feed.source: FEED_FILE_MISSING" in errors


def test_flows_by_name_and_by_reference() -> None:
    assert flows_of([], [f"{PROBE}FLOW"]) == [FLOW]
    with pytest.raises(ConfigError, match="unknown role 'sink-tick'"):
        flows_of(["sink-tick"], [])
    with pytest.raises(ConfigError, match="named twice"):
        flows_of([], [f"{PROBE}FLOW", f"{PROBE}FLOW"])
    for text in ("nowhere:FLOW", f"{PROBE}NONE", f"{PROBE}TOPIC", "json"):
        with pytest.raises(ConfigError, match="--flow"):
            flows_of([], [text])


def test_wrong_arguments_are_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(["--fro", "3"])
    assert caught.value.code == 2
    assert "--fro" in capsys.readouterr().err


def test_all_roles_at_once() -> None:
    _, flows = _configured(parse(["--roles", "all", "--config", str(ROOT / "trade.toml")]))
    assert [flow.role for flow in flows] == list(KNOWN)


def test_what_works_beside_an_owner_of_orders_is_everything_else() -> None:
    _, flows = _configured(parse(["beside", "--config", str(ROOT / "trade.toml")]))
    assert [flow.role for flow in flows] == [role for role in KNOWN if role != "orders"]


def test_no_heavy_library_is_loaded_by_any_role() -> None:
    program = (
        "import sys, streaming.worker, streaming.platform, streaming.api.health, streaming.api.server\n"
        f"streaming.worker.flows_of({KNOWN!r}, [])\n"
        "import streaming.flows.ingest, streaming.adapters.feed_source\n"
        f"sys.exit(','.join(m for m in {HEAVY!r} if m in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
