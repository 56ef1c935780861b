"""The end of a run with an end: the touched days through Dagster, the account of what came in and what the lake holds.

The report is written whatever it says; the exit code is 1 unless everything agrees.
"""

import json
import os
import platform
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import typer

from orchestration.commands import overview
from orchestration.commands.failure import EXIT_FAILED, CommandError
from orchestration.commands.page import Page
from orchestration.commands.up import Outcome
from orchestration.lake_io import LakeIO
from orchestration.materialize import materialize_days
from orchestration.reconcile import normaliser, reconcile
from streaming.adapters.lake import Lake, LakeError
from streaming.settings import Settings
from trading.schemas import TICKS_V1

SHOWN_MISMATCHES = 20


def open_lake(home: Path) -> LakeIO:
    """Open the lake of a data folder."""
    return LakeIO(Lake(home / "lake"))


def rows_by_day(home: Path) -> dict[date, int]:
    """Return the tick rows of each day, to tell later which days a run touched."""
    return open_lake(home).rows_by_date(TICKS_V1)


def settle(settings: Settings, outcome: Outcome, before: Mapping[date, int], file: Path | None, as_json: bool) -> int:
    """Check what the run left, write the report, show it; return the exit code."""
    try:
        report = _report(settings, outcome, before)
    except (LakeError, OSError) as error:
        code = getattr(error, "code", "LAKE_UNREADABLE")
        raise CommandError(str(code), str(error), "the run itself is in the lake and on the broker") from None
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(report, indent=2, default=str) + "\n")
    typer.echo(json.dumps({"event": "report", "report": report}, default=str) if as_json else in_words(report))
    return outcome.exit_code or (0 if report["reconciled"] else EXIT_FAILED)


def _report(settings: Settings, outcome: Outcome, before: Mapping[date, int]) -> dict[str, Any]:
    home = settings.home
    after = rows_by_day(home)
    touched = sorted(day for day, rows in after.items() if before.get(day) != rows)
    checks = materialize_days(home, touched)
    page = overview.last(home, outcome.pids)
    account = reconcile(open_lake(home), page.raw, settings.instrument_table()) if page else {}
    return build(outcome, page, account, checks)


def build(
    outcome: Outcome, page: Page | None, account: Mapping[str, Any], checks: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the report as plain data."""
    mismatches = list(account.get("mismatches", []))
    if page is None:
        mismatches.append("a worker left no status page, so the counts cannot be compared")
    elif page.error is not None:
        mismatches.insert(0, page.error)
    if outcome.exit_code:
        mismatches.append(f"the run ended with exit code {outcome.exit_code}")
    mismatches += [
        f"{day} {name}: {check['message']}"
        for day, found in checks.items()
        for name, check in found.items()
        if not check["passed"]
    ]
    page = page or Page()
    return {
        "machine": machine(),
        "run_s": round(outcome.run_s, 3),
        "drained": page.drained,
        "restarts": outcome.restarts,
        "ticks": page.ticks,
        "ticks_per_s": round(page.ticks / outcome.run_s, 1) if outcome.run_s else 0.0,
        "feed": page.feed,
        "counters": normaliser(page.raw),
        "offsets": {"topics": page.raw.get("topics", {}), "groups": page.raw.get("groups", {})},
        "rows": account.get("tables", {}),
        "bars": account.get("bars", {}),
        "checks": dict(checks),
        "mismatches": mismatches,
        "reconciled": not mismatches,
    }


def _left_out(report: Mapping[str, Any]) -> dict[str, int]:
    """Return what the feed or the normaliser did not let through, by the words for it."""
    feed, counters = report["feed"], report["counters"]
    return {
        "duplicates": counters.get("duplicates", 0),
        "rejected": counters.get("rejected", 0),
        "rows that cannot be read": feed.get("unreadable_rows", 0),
        "frames too large": feed.get("oversize", 0),
        "frames that cannot be read": counters.get("bad_frames", 0),
    }


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
    }


def in_words(report: Mapping[str, Any]) -> str:
    """Return the report as a few lines for people."""
    run = f"ran {report['run_s']:.1f} s: {report['ticks']:,} ticks, {report['ticks_per_s']:,.0f} ticks/s"
    lines = [run + (", feed drained" if report["drained"] else "")]
    left_out = [f"{count:,} {words}" for words, count in _left_out(report).items() if count]
    if left_out:
        lines.append(f"  left out: {', '.join(left_out)}")
    lines += [f"  {name:<12} {table.get('rows', 0):>12,} rows" for name, table in report["rows"].items()]
    checked = sum(len(found) for found in report["checks"].values())
    lines.append(f"  {checked} checks over {max(len(report['checks']) - 1, 0)} days")
    mismatches = report["mismatches"]
    if not mismatches:
        return "\n".join([*lines, "everything reconciles"])
    more = [f"  ... and {len(mismatches) - SHOWN_MISMATCHES} more"] if len(mismatches) > SHOWN_MISMATCHES else []
    return "\n".join([*lines, "DOES NOT RECONCILE:", *(f"  {m}" for m in mismatches[:SHOWN_MISMATCHES]), *more])
