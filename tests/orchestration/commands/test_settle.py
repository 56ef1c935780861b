"""The report of a run with an end."""

from typing import Any

import pytest

from orchestration.commands.page import Page
from orchestration.commands.settle import SHOWN_MISMATCHES, build, in_words, machine
from orchestration.commands.up import Outcome
from tests.orchestration.fake_worker import DRAINED

ENDED = Outcome(exit_code=0, run_s=2.0, restarts=0, pids=(1,))
ACCOUNT: dict[str, Any] = {"tables": {"ticks_v1": {"rows": 30}}, "bars": {"duckdb": {"equal": 3}}, "mismatches": []}
CHECKS = {"bronze": {}, "2013-10-07": {"clean_ticks_v1.schema": {"passed": True, "message": "", "figures": {}}}}
BROKEN = DRAINED | {"state": "failed", "error": {"code": "FEED_COLUMN_MISSING", "message": "no price"}}
FAILED = {"2013-10-07": {"clean_bars_v1.ohlc": {"passed": False, "message": "high below low", "figures": {}}}}


def test_a_run_that_agrees_reconciles() -> None:
    report = build(ENDED, Page(DRAINED), ACCOUNT, CHECKS)
    assert report["reconciled"]
    assert (report["ticks"], report["ticks_per_s"]) == (30, 15.0)
    assert report["offsets"]["topics"] == DRAINED["topics"]
    assert in_words(report).splitlines()[-1] == "everything reconciles"


@pytest.mark.parametrize(
    ("outcome", "page", "account", "checks", "words"),
    [
        (ENDED, None, {}, CHECKS, "left no status page"),
        (Outcome(75, 2.0, 0, (1,)), Page(DRAINED), ACCOUNT, CHECKS, "exit code 75"),
        (ENDED, Page(DRAINED), ACCOUNT | {"mismatches": ["3 rows, 4 written"]}, CHECKS, "3 rows, 4 written"),
        (ENDED, Page(BROKEN), ACCOUNT, CHECKS, "FEED_COLUMN_MISSING: no price"),
        (ENDED, Page(DRAINED), ACCOUNT, FAILED, "2013-10-07 clean_bars_v1.ohlc: high below low"),
    ],
)
def test_whatever_disagrees_is_said(
    outcome: Outcome, page: Page | None, account: dict[str, Any], checks: dict[str, Any], words: str
) -> None:
    report = build(outcome, page, account, checks)
    assert not report["reconciled"]
    assert any(words in line for line in report["mismatches"])
    assert "DOES NOT RECONCILE" in in_words(report)


def test_what_was_left_out_is_said_although_everything_agrees() -> None:
    feed = DRAINED["feed"] | {"unreadable_rows": 1_000, "oversize": 0}
    flows = DRAINED["flows"] | {"normalize": {"0": {"rejected": 43, "duplicates": 0}}}
    report = build(ENDED, Page(DRAINED | {"feed": feed, "flows": flows}), ACCOUNT, CHECKS)
    assert report["reconciled"]
    assert "  left out: 43 rejected, 1,000 rows that cannot be read" in in_words(report).splitlines()
    assert "left out" not in in_words(build(ENDED, Page(DRAINED), ACCOUNT, CHECKS))


def test_only_the_first_mismatches_are_shown_and_the_rest_counted() -> None:
    many = ACCOUNT | {"mismatches": [f"line {n}" for n in range(SHOWN_MISMATCHES + 5)]}
    text = in_words(build(ENDED, Page(DRAINED), many, CHECKS))
    assert "and 5 more" in text


def test_the_machine_is_described() -> None:
    assert machine()["cpus"] >= 1
