"""The Prometheus rules are valid, do what their unit tests say, and name only metrics that the worker exports."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestration.commands.pulse import Sight
from orchestration.commands.pulse import metrics as children
from streaming.adapters.telemetry import HISTOGRAMS, Metrics
from tests.conftest import ROOT

FOLDER = ROOT / "deploy" / "prometheus"
# Exported by Prometheus itself.
OWN = frozenset({"up"})
LATENCY = {"bounds": [1.0], "counts": [1, 0], "sum": 0.5}
LANE: dict[str, Any] = {"codes": {"NAN": 1}, "waiting": {"code": "DISK_FULL"}, "latency_ms": LATENCY}
COUNTED = ("ticks_in", "rejected", "frames", "bars", "rows", "commits", "retries", "pending_rows", "last_commit_ms")
ORDERS = ("commands", "owned", "audits", "audit_differences", "lost", "killed", "in_doubt", "dead_letters")
GATEWAY = {"venue": {"connected": True}, "reconciled": {"open": {"ORDER_STRANGE": 1}, "mended": {}}}
STATUS: dict[str, Any] = {
    "disk": {"free_bytes": 1, "total_bytes": 2},
    "state": "ready",
    "feed": {"name": "sim", "frames": 1, "ticks": 2, "drained": False},
    "topics": {"ticks": {"0": {"begin": 0, "end": 1}}},
    "groups": {"sink-ticks": {"topic": "ticks", "committed": {"0": 1}, "lag": 0}},
    "flows": {
        "sink-ticks": {"0": LANE | dict.fromkeys(COUNTED, 1)},
        "orders": {"0": dict.fromkeys(ORDERS, 1) | GATEWAY},
    },
    "ticks_per_s": 1.0,
    "last_tick_ts_ns": 1,
}


@pytest.fixture(scope="module")
def promtool() -> str:
    """Return the path of promtool; skip where it is absent."""
    own = ROOT / ".tools" / "bin" / "promtool"
    found = str(own) if own.exists() else shutil.which("promtool")
    if not found:
        pytest.skip("no promtool: `make debian` fetches it on Debian, or put it on the PATH")
    return found


def run(promtool: str, *args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([promtool, *args], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)


def rules() -> list[dict[str, Any]]:
    files = [yaml.safe_load((FOLDER / name).read_text()) for name in ("recording.yml", "alerts.yml")]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def exported() -> set[str]:
    metrics = Metrics(lambda: STATUS)
    observe = metrics.observer("sink-ticks")
    for name in HISTOGRAMS:
        observe(name, 0.001)
    page = metrics.render().decode() + children([Sight("worker", None, 0)], lambda _: ())
    return {re.split(r"[{ ]", line, maxsplit=1)[0] for line in page.splitlines() if not line.startswith("#")}


def named(expression: str) -> set[str]:
    """Return the metrics that an expression names."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|on|without)\s*\([^)]*\)", " ", expression)
    words = re.findall(r"[a-zA-Z_:][\w:]*(?!\s*[\w(])", bare)
    return {word for word in words if "_" in word or ":" in word or word in OWN}


def test_promtool_accepts_the_configuration_and_the_rules(promtool: str) -> None:
    done = run(promtool, "check", "config", "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_do_what_their_unit_tests_say(promtool: str) -> None:
    done = run(promtool, "test", "rules", "tests.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_broken_rule_would_be_seen(promtool: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text("groups: [{name: g, rules: [{alert: A, expr: 'sum('}]}]")
    assert run(promtool, "check", "rules", str(broken)).returncode != 0


def test_every_metric_that_a_rule_names_is_exported_or_recorded() -> None:
    known = exported() | {rule["record"] for rule in rules() if "record" in rule} | OWN
    missing = {name: rule.get("alert") or rule["record"] for rule in rules() for name in named(rule["expr"]) - known}
    assert missing == {}


def test_the_finder_of_names_finds_them() -> None:
    assert named('sum by (le) (rate(trade_x_bucket{a="b_c"}[1m])) > 0 and on (role) trade:y:p99 == 1') == {
        "trade_x_bucket",
        "trade:y:p99",
    }
    assert named('up{job="trade"} == 0') == {"up"}


def test_every_alert_fires_in_a_unit_test_and_stays_silent_in_one() -> None:
    cases = [
        case for test in yaml.safe_load((FOLDER / "tests.yml").read_text())["tests"] for case in test["alert_rule_test"]
    ]
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == alerts
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == alerts


def test_every_alert_says_what_is_wrong_and_more() -> None:
    for rule in rules():
        if "alert" in rule:
            assert set(rule["annotations"]) == {"summary", "description"}
            assert rule["labels"]["severity"] in {"page", "warn"}
