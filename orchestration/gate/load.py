"""The load test of the gate: the program of `trade bench orders`, driven at the platform; then the audits."""

import json
import os
import subprocess
import sys
from typing import Any

from orchestration.audit import audit, until
from orchestration.checks import Finding
from orchestration.gate.components import ORDER_TABLES
from orchestration.gate.site import Site
from orchestration.gate.site import until as wait_until
from orchestration.lake_io import LakeIO
from streaming.adapters.lake import Lake
from trading.schemas import ORDERS_JOURNAL

# The program waits for what the venue has yet to confirm, and reads every order again.
OVERHEAD_S = 900.0
SINKS_S = 60.0
SHOWN = 3
TOLD_CHARS = 400
ORDER_SINKS = ("sink-journal",)


def load(site: Site, rate: float, seconds: float, *, keep: bool = False) -> list[Finding]:
    """Run the load; return whether all was answered, whether it was fast enough, and whether the ledger agrees.

    With `keep` the orders stay open and the raised limits in force.
    """
    argv = [sys.executable, "-m", "streaming.bench.orders", "--url", site.url, "--home", str(site.home)]
    argv += ["--rate", str(rate), "--seconds", str(seconds), "--json", *(["--keep"] if keep else [])]
    argv += [f"--beside={host}:{port}" for host, port in site.beside]
    done = subprocess.run(
        argv, env=os.environ, capture_output=True, text=True, timeout=seconds + OVERHEAD_S, check=False
    )
    try:
        report = json.loads(done.stdout)
    except ValueError:
        words = done.stderr.strip()[-TOLD_CHARS:]
        return [Finding("load", False, f"the load test ended with exit code {done.returncode}: {words}")]
    return judged(report["runs"][0], report["bar"])


def judged(run: dict[str, Any], bar: dict[str, float]) -> list[Finding]:
    """Return the findings of a report of the load."""
    errors, faults = run["errors"], run["state_faults"]
    every = run["all"]
    said = ", ".join(f"{count} {code}" for code, count in sorted(errors.items())) or "no error"
    answered = Finding(
        "load",
        not errors and every["count"] == run["requests"] > 0,
        f"{every['count']} of {run['requests']} answered, {run['answered_per_s']}/s of {run['rate']:g}/s; {said}",
        {"rate": run["rate"], "answered_per_s": run["answered_per_s"], "errors": sum(errors.values())},
    )
    kept = run["acknowledged"]
    ledger = Finding(
        "ledger",
        not faults,
        "; ".join(faults[:SHOWN]) or f"{kept['open']} open and {kept['canceled']} canceled orders, as acknowledged",
        {"open": kept["open"], "canceled": kept["canceled"], "faults": len(faults)},
    )
    if not every["count"]:
        return [answered, Finding("load_latency", False, "nothing was answered"), ledger]
    p50_ms, p99_ms = every["p50_ms"], every["p99_ms"]
    fast = Finding(
        "load_latency",
        p50_ms < bar["p50_ms"] and p99_ms < bar["p99_ms"],
        f"P50 {p50_ms:g} ms (< {bar['p50_ms']:g}), P99 {p99_ms:g} ms (< {bar['p99_ms']:g}), max {every['max_ms']:g} ms",
        {f"{verb}_{name}": run[verb][name] for verb in ("new", "cancel") for name in run[verb] if name != "count"},
    )
    return [answered, fast, ledger]


def journal_audit(site: Site) -> Finding:
    """Ask the platform to verify the hash chain, and look at its own conservation audit."""
    answer = site.call("GET", "/v1/audit", site.admin)
    if answer.status != 200:
        return Finding("audit", False, f"the audit answers {answer.code}")
    chains = answer.body["partitions"]
    faults = [f"partition {each['partition']}: {each['code']}" for each in chains if not each["whole"]]
    lanes = site.status().get("flows", {}).get("orders", {})
    apart = sum(int(lane.get("audit_differences") or 0) for lane in lanes.values())
    faults += [f"{apart} differences in the conservation audit"] if apart else []
    records = sum(each["records"] for each in chains)
    message = "; ".join(faults) or f"{records} records in {len(chains)} partitions, every hash continues the one before"
    return Finding("audit", not faults, message, {"records": records, "differences": apart})


def lake_audit(site: Site) -> Finding:
    """Audit what the sinks have written: intents, executions, positions and cash, up to the offset that all have."""
    wait_until(lambda: _sunk(site.status()), SINKS_S)
    lake = LakeIO(Lake(site.home / "lake"))
    taken = [lake.state(table).taken for table in ORDER_TABLES]
    apps = {app for each in taken for app in each}
    prefix = f"{ORDERS_JOURNAL.name}-"
    ends = {int(app.removeprefix(prefix)): min(each.get(app, 0) for each in taken) for app in apps}
    tables = [until(lake.whole(table), ends) for table in ORDER_TABLES]
    findings = [finding for group in audit(*tables).values() for finding in group]
    faults = [f"{finding.name}: {finding.message}" for finding in findings if not finding.passed]
    rows = tables[0].num_rows
    message = "; ".join(faults[:SHOWN]) or f"{len(findings)} checks over {rows} journal rows"
    return Finding("lake_audit", not faults and rows > 0, message, {"rows": rows, "faults": len(faults)})


def _sunk(page: dict[str, Any]) -> bool:
    groups, flows = page.get("groups", {}), page.get("flows", {})
    lag = sum(int(groups[name]["lag"]) for name in ORDER_SINKS if name in groups)
    waiting = sum(int(lane.get("pending_rows") or 0) for name in ORDER_SINKS for lane in flows.get(name, {}).values())
    return lag == 0 and waiting == 0
