from pathlib import Path
from typing import Any

import pytest

from orchestration.gate import load as module
from orchestration.gate.load import journal_audit, judged, lake_audit, load
from tests.orchestration.gate.scripted import ScriptedSite

TIMES = {"count": 10, "p50_ms": 1.0, "p99_ms": 2.0, "max_ms": 3.0}
BAR = {"p50_ms": 10.0, "p99_ms": 50.0}
RUN: dict[str, Any] = {
    "rate": 10.0,
    "requests": 10,
    "answered_per_s": 9.9,
    "all": TIMES,
    "new": TIMES,
    "cancel": {"count": 0},
    "errors": {},
    "acknowledged": {"open": 5, "canceled": 2},
    "state_faults": [],
}


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({}, []),
        ({"errors": {"RATE_LIMITED": 1}}, ["load"]),
        ({"requests": 11}, ["load"]),
        ({"all": TIMES | {"p99_ms": 50.0}}, ["load_latency"]),
        ({"all": TIMES | {"p50_ms": 11.0}}, ["load_latency"]),
        ({"all": {"count": 0}}, ["load", "load_latency"]),
        ({"state_faults": ["a: 1 shown twice: x"]}, ["ledger"]),
    ],
)
def test_each_fault_of_a_load_is_found(change: dict[str, Any], failed: list[str]) -> None:
    assert [each.name for each in judged(RUN | change, BAR) if not each.passed] == failed


def test_a_load_that_cannot_run_has_failed_with_its_words(tmp_path: Path) -> None:
    (finding,) = load(ScriptedSite(tmp_path, lambda *_: (0, {})), 10.0, 1.0)
    assert not finding.passed
    assert "no keys.json" in finding.message


def test_the_audit_of_the_platform() -> None:
    def answers(whole: bool, differences: int) -> ScriptedSite:
        chain = {"partition": 0, "records": 7, "whole": whole, "code": None if whole else "HASH_WRONG"}
        page = {"flows": {"orders": {"0": {"audit_differences": differences}}}}
        return ScriptedSite(Path(), lambda _, path, *__: (200, page if path == "/status" else {"partitions": [chain]}))

    assert journal_audit(answers(True, 0)).passed
    assert journal_audit(answers(False, 0)).message == "partition 0: HASH_WRONG"
    assert not journal_audit(answers(True, 1)).passed
    assert not journal_audit(ScriptedSite(Path(), lambda *_: (403, {"code": "SCOPE_MISSING"}))).passed


def test_an_empty_lake_does_not_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SINKS_S", 0.0)
    assert not lake_audit(ScriptedSite(tmp_path, lambda *_: (200, {}))).passed
