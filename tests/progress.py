"""A pytest plugin for long runs: one progress line every few seconds instead of a dot for each test."""

import time
from collections import Counter

import pytest

EVERY_S = 10.0
REASON_CHARS = 1_500


class Progress:
    """Counts reports and writes a line when the last one is old enough. A failure is written at once, and why."""

    def __init__(self) -> None:
        self.total = 0
        self.done = 0
        self.counts: Counter[str] = Counter()
        self._began = self._last = time.monotonic()

    def line(self, now: float, where: str) -> str:
        """Return the progress at `now` (monotonic seconds) as one line."""
        counts = ", ".join(f"{self.counts[name]} {name}" for name in ("passed", "skipped", "failed"))
        share = 100 * self.done // max(self.total, 1)
        return f"[{share:3d}%] {counts} of {self.total} in {now - self._began:.0f} s, at {where}"

    def due(self, now: float) -> bool:
        """Tell, and note, that the next line may be written."""
        if now - self._last < EVERY_S:
            return False
        self._last = now
        return True

    def count(self, report: pytest.TestReport) -> bool:
        """Count one report; tell whether it is a failure."""
        if report.when == "teardown":
            self.done += 1
        if report.failed:
            self.counts["failed"] += 1
        elif report.when == "call" or (report.when == "setup" and report.skipped):
            self.counts[report.outcome] += 1
        return bool(report.failed)


_progress = pytest.StashKey[Progress]()
_config: list[pytest.Config] = []


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_progress] = Progress()
    _config[:] = [config]


def pytest_collection_finish(session: pytest.Session) -> None:
    session.config.stash[_progress].total = len(session.items)


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    if report.when == "call" or not report.passed:
        category = "error" if report.failed and report.when != "call" else report.outcome
        return None if hasattr(report, "wasxfail") else (category, "", category.upper())
    return None


def pytest_runtest_logstart(nodeid: str) -> None:
    progress = _config[0].stash[_progress]
    now = time.monotonic()
    if progress.due(now):
        _write(progress.line(now, nodeid))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if _config[0].stash[_progress].count(report):
        _write(f"FAILED {report.nodeid} ({report.when})\n{report.longreprtext[-REASON_CHARS:]}")


def _write(text: str) -> None:
    reporter = _config[0].pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.ensure_newline()
        reporter.write_line(text)
        reporter.flush()
