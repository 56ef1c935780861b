from pathlib import Path
from typing import Any

from orchestration.gate.latency import OMS, RISK, Histogram, between, latencies, scrape
from orchestration.gate.site import Key
from tests.orchestration.gate.scripted import ScriptedSite

PAGE = """# TYPE trade_decision_seconds histogram
trade_decision_seconds_bucket{le="0.0001",role="orders"} 5.0
trade_decision_seconds_bucket{le="0.01",role="orders"} 9.0
trade_decision_seconds_bucket{le="+Inf",role="orders"} 9.0
trade_decision_seconds_bucket{le="0.0001",role="ingest"} 7.0
trade_durable_seconds_bucket{le="0.0001",role="orders"} 0.0
trade_durable_seconds_bucket{le="+Inf",role="orders"} 9.0
"""


def test_a_scrape_takes_the_buckets_of_the_orders_role(tmp_path: Path) -> None:
    def page(_m: str, path: str, _k: Key | None, _b: Any) -> tuple[int, Any]:
        return (200, PAGE) if path == "/metrics" else (404, "")

    found = scrape(ScriptedSite(tmp_path, page))
    assert found == {RISK: {1e-4: 5, 1e-2: 9, float("inf"): 9}, OMS: {1e-4: 0, float("inf"): 9}}
    assert scrape(ScriptedSite(tmp_path, lambda *_: (0, {}))) == {RISK: {}, OMS: {}}


def test_only_what_came_between_two_scrapes_counts() -> None:
    found = between({1e-4: 5, 1e-2: 9, float("inf"): 9}, {1e-4: 105, 1e-2: 110, float("inf"): 110})
    assert (found.counts, found.total) == ({1e-4: 100, 1e-2: 1, float("inf"): 0}, 101)
    assert (found.quantile_ms(0.5), found.quantile_ms(0.99), found.quantile_ms(1.0)) == (0.1, 0.1, 10.0)
    assert Histogram({}).quantile_ms(0.5) == 0.0


def test_slow_decisions_and_no_orders_at_all_fail() -> None:
    quick: dict[float, float] = {1e-4: 10, float("inf"): 10}
    slow: dict[float, float] = {1e-4: 0, 1.0: 10, float("inf"): 10}
    assert [each.passed for each in latencies({RISK: {}, OMS: {}}, {RISK: quick, OMS: quick})] == [True, True]
    risk, oms = latencies({RISK: {}, OMS: {}}, {RISK: slow, OMS: {}})
    assert (risk.passed, risk.figures["p99_ms"], risk.figures["le_1000_ms"]) == (False, 1000.0, 10)
    assert (oms.passed, oms.message) == (False, "the metrics page counts no order")
