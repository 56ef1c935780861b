"""The gate on a platform of its own, and what stops it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestration.checks import Finding
from orchestration.commands import gate
from orchestration.commands.failure import CommandError
from orchestration.commands.gate import Options, Report, in_words
from orchestration.gate import place
from tests.kafka_node import KafkaNode

# How long things take is for a quiet machine to judge.
TIMES = {"load_latency", "risk_latency", "oms_latency"}


@pytest.fixture(autouse=True)
def _few_accounts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(place, "ACCOUNTS", 3)
    monkeypatch.setenv("TRADE_HOME", str(tmp_path))
    monkeypatch.setenv("TRADE_SINK__MAX_SECONDS", "2")


def run(capsys: pytest.CaptureFixture[str], **options: Any) -> tuple[int, dict[str, Any]]:
    code = gate.run(Options(rate=20.0, seconds=1.0, as_json=True, **options))
    return code, json.loads(capsys.readouterr().out)


def failed(report: dict[str, Any]) -> Sequence[str]:
    return [each["name"] for stage in report["stages"].values() for each in stage if not each["passed"]]


def test_a_sound_platform_passes_every_check_but_those_of_time(capsys: pytest.CaptureFixture[str]) -> None:
    code, report = run(capsys)
    assert set(failed(report)) <= TIMES, report
    assert [*report["stages"]] == ["components", "flow", "load", "latency", "audit", "stop"]
    assert (code, report["verdict"]) == ((1, "STOP") if failed(report) else (0, "PROCEED"))
    found = {each["name"]: each for stage in report["stages"].values() for each in stage}
    assert found["risk_latency"]["figures"]["orders"] > 0
    assert found["lake_audit"]["figures"]["rows"] >= found["audit"]["figures"]["records"]


@pytest.mark.kafka
def test_on_kafka_it_judges_the_two_processes_that_a_user_runs(
    capsys: pytest.CaptureFixture[str], own_node: KafkaNode
) -> None:
    for _ in range(2):
        _, report = run(capsys, broker=own_node.url)
        assert set(failed(report)) <= TIMES, report
        found = {each["name"]: each["message"] for stage in report["stages"].values() for each in stage}
        assert found["roles"].endswith("roles run in 2 process(es)")
        assert found["no_restart"] == "2 process(es), none has crashed"


def test_a_platform_whose_gateway_refuses_is_stopped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADE_ROUTE__MAX_ORDER_VALUE", "1")
    code, report = run(capsys)
    assert (code, report["verdict"], failed(report)[0]) == (1, "STOP", "fill")
    assert [*report["stages"]] == ["components", "flow"]


def test_a_process_that_crashed_stops_it() -> None:
    finding = gate._restarts({"orders": 0, "market": 2})
    assert (finding.passed, finding.message) == (False, "crashed and started again: market 2 times")


def test_a_url_needs_the_keys_of_that_platform() -> None:
    with pytest.raises(CommandError, match="KEYS_UNREADABLE"):
        gate.run(Options(url="http://127.0.0.1:1"))
    with pytest.raises(CommandError, match="CONFIG_REFUSED"):
        gate.run(Options(url="nonsense"))


def test_the_verdict_in_words() -> None:
    passed, broken = Finding("a", True, "fine"), Finding("b", False, "not fine")
    assert in_words(Report({"components": [passed]})).splitlines()[-1] == "PROCEED"
    words = in_words(Report({"components": [passed, broken]}))
    assert "FAIL  b             not fine" in words
    assert words.splitlines()[-1] == "STOP: b"
    assert Report({}).verdict == "STOP"
