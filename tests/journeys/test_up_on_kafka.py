"""`trade up` on a real Apache Kafka: the orders in one process, the rest in another, and one account of both."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from orchestration.commands import overview
from orchestration.commands import page as pages
from orchestration.gate.site import Answer, Site, read_keys
from tests.conftest import ROOT
from tests.journeys import evidence
from tests.kafka_node import KafkaNode
from tests.streaming.poll import until_sync
from trading.schemas import FILLS_V1

TRADES = "us_equity_trades_20131007.parquet"
ROWS = 60_000
END_S = 300.0
WAIT_S = 60.0
FREE = ("TRADE_HTTP__PORT", "TRADE_UP__PORT", "TRADE_UP__MARKET_PORT")

pytestmark = pytest.mark.kafka


@contextmanager
def trade_up(home: Path, broker: str, *options: str, **env: str) -> "Iterator[subprocess.Popen[str]]":
    """Run `trade up` to its end or to that of the block."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TRADE_")}
    home.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestration", "up", "--for", str(END_S), "--broker", broker, *options],
        cwd=home,
        env=clean | {"PYTHONPATH": str(ROOT), "TRADE_HOME": str(home)} | dict.fromkeys(FREE, "0") | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=END_S)


def ended(process: "subprocess.Popen[str]", report: Path) -> dict[str, Any]:
    """Wait for the end and return the report of a run that reconciles."""
    out, _ = process.communicate(timeout=2 * END_S)
    assert process.returncode == 0, out
    found: dict[str, Any] = json.loads(report.read_text())
    assert (found["reconciled"], found["mismatches"]) == (True, [])
    assert all(group["lag"] == 0 for group in found["offsets"]["groups"].values()), found["offsets"]["groups"]
    return found


def test_real_prints_reconcile_over_two_processes(
    own_node: KafkaNode, tmp_path: Path, shared_data: Callable[[str], Path]
) -> None:
    file = evidence.cut(shared_data(TRADES), tmp_path / "part.parquet", 0, ROWS)
    home, report = tmp_path / "home", tmp_path / "out.json"
    with trade_up(home, own_node.url, "--feed", f"replay:{file}", "--report", str(report)) as process:
        found = ended(process, report)
    assert (found["ticks"], found["rows"]["ticks_v1"]["rows"], found["restarts"]) == (ROWS, ROWS, 0)
    left = {path.stem: json.loads(path.read_text())["roles"] for path in (home / "status").iterdir()}
    assert left["orders"] == ["orders"]
    assert {"ingest", "normalize", "route", "strategy", "sink-journal"} <= set(left["streaming"])
    for interval in ("1m", "1h", "1d"):
        assert evidence.bars(home, interval) == evidence.bars_of_file(file, interval), interval


def test_orders_survive_the_death_of_either_process_and_are_all_in_the_lake(
    own_node: KafkaNode, tmp_path: Path
) -> None:
    home, report = tmp_path / "home", tmp_path / "out.json"
    with trade_up(home, own_node.url, "--report", str(report), TRADE_FEED__RATE="200") as process:
        until_ready(home)
        first = filled(home, "first")
        for place, name in enumerate(("orders", "market")):
            page = pages.fetch(*overview.running(home)[place])
            assert page is not None
            os.kill(page.raw["pid"], signal.SIGKILL)
            until_sync(lambda: not is_ready(home), within_s=WAIT_S)
            until_ready(home)
            assert filled(home, "first") == first, "the same request is the same order"
            filled(home, name)
        process.send_signal(signal.SIGTERM)
        found = ended(process, report)
    assert found["restarts"] == 2
    fills = evidence.lake(home).read(FILLS_V1)
    assert fills.num_rows == found["rows"]["fills_v1"]["rows"]
    assert len({(row["order_id"], row["trade_id"]) for row in fills.to_pylist()}) == fills.num_rows
    assert sum(row["qty"] for row in fills.to_pylist()) == 3 * 1_000_000


def is_ready(home: Path) -> bool:
    """Tell whether both processes work."""
    page = overview.fetch(overview.running(home))
    return page is not None and page.state == "ready"


def until_ready(home: Path) -> None:
    """Wait until both processes work."""
    until_sync(lambda: is_ready(home), within_s=WAIT_S)


def filled(home: Path, name: str) -> str:
    """Submit an order until it is accepted, as a client does, and wait until it is filled; return its id."""
    host, port = overview.running(home)[0]
    site, answers = Site(host, port, home, read_keys(home)), list[Answer]()
    wish = {"symbol": "BTC-USD", "qty": "0.01", "side": "buy", "type": "market", "time_in_force": "gtc"}

    def accepted() -> bool:
        answers.append(site.call("POST", "/v2/orders", site.trader, wish | {"client_order_id": name}))
        return answers[-1].status == 200

    until_sync(accepted, within_s=WAIT_S)
    order_id = str(answers[-1].body["id"])

    def done() -> bool:
        found = site.call("GET", f"/v2/orders/{order_id}", site.trader)
        return found.status == 200 and found.body["status"] == "filled"

    until_sync(done, within_s=WAIT_S)
    return order_id
