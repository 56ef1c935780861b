"""Latency histograms of risk and order management, from the metrics page: what was counted between two scrapes."""

import re
from typing import NamedTuple

from orchestration.checks import Finding
from orchestration.gate.site import Site

# The decision holds the whole gate. Bars of the in-process benchmarks are sharper; these hold under load.
RISK, OMS = "trade_decision_seconds", "trade_durable_seconds"
RISK_P99_BAR_MS = 5.0
OMS_P99_BAR_MS = 50.0
_LINE = re.compile(r'^(\w+)_bucket\{le="([^"]+)",role="orders"\} (\S+)$', re.MULTILINE)
Buckets = dict[float, float]


class Histogram(NamedTuple):
    """Requests by their upper bound in seconds, not cumulated."""

    counts: Buckets

    @property
    def total(self) -> int:
        """Return how many were counted."""
        return int(sum(self.counts.values()))

    def quantile_ms(self, share: float) -> float:
        """Return the upper bound of the bucket that holds this share, in ms."""
        seen = 0.0
        for bound, count in sorted(self.counts.items()):
            seen += count
            if count and seen >= share * self.total:
                return bound * 1e3
        return 0.0


def scrape(site: Site) -> dict[str, Buckets]:
    """Return the cumulated buckets of both histograms; empty where the page has none."""
    answer = site.call("GET", "/metrics")
    found: dict[str, Buckets] = {RISK: {}, OMS: {}}
    for name, bound, value in _LINE.findall(answer.body if isinstance(answer.body, str) else ""):
        if name in found:
            found[name][float(bound)] = float(value)
    return found


def between(before: Buckets, after: Buckets) -> Histogram:
    """Return what was counted between two scrapes."""
    counts: Buckets = {}
    below = 0.0
    for bound in sorted(after):
        reached = after[bound] - before.get(bound, 0.0)
        counts[bound], below = reached - below, reached
    return Histogram(counts)


def latencies(before: dict[str, Buckets], after: dict[str, Buckets]) -> list[Finding]:
    """Judge both histograms."""
    rows = (("risk_latency", RISK, RISK_P99_BAR_MS), ("oms_latency", OMS, OMS_P99_BAR_MS))
    return [_judged(label, between(before[name], after[name]), bar_ms) for label, name, bar_ms in rows]


def _judged(label: str, found: Histogram, bar_ms: float) -> Finding:
    if not found.total:
        return Finding(label, False, "the metrics page counts no order", {"orders": 0})
    p50_ms, p99_ms = found.quantile_ms(0.5), found.quantile_ms(0.99)
    message = f"{found.total} orders: P50 <= {p50_ms:g} ms, P99 <= {p99_ms:g} ms (bar {bar_ms:g} ms)"
    figures: dict[str, float] = {"orders": found.total, "p50_ms": p50_ms, "p99_ms": p99_ms}
    return Finding(label, p99_ms <= bar_ms, message, {**figures, **_buckets(found)})


def _buckets(found: Histogram) -> dict[str, int]:
    return {f"le_{bound * 1e3:g}_ms": int(count) for bound, count in sorted(found.counts.items()) if count}
