"""An order's whole way in one real process: HTTP, risk, journal, route, paper venue, report, position, lake, audit."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestration.audit import audit, until
from orchestration.lake_io import LakeIO
from streaming.adapters.lake import Lake
from tests.kafka_node import KafkaNode
from tests.streaming.poll import until_sync
from tests.streaming.worker_process import WorkerProcess
from trading.schemas import FILLS_V1, JOURNAL_V1, POSITIONS_V1

ROLES = "ingest,normalize,sink-ticks,orders,route,strategy,sink-journal"
TABLES = (JOURNAL_V1, FILLS_V1, POSITIONS_V1)
QTY = "0.01"


class Client:
    """A stranger's client of the order API, with the trading key of the first account."""

    def __init__(self, worker: WorkerProcess) -> None:
        self._worker = worker
        keys = json.loads((worker.home / "keys.json").read_text())["keys"]
        chosen = next(key for key in keys if "admin" not in key["scopes"])
        self._headers = {"APCA-API-KEY-ID": chosen["key_id"], "APCA-API-SECRET-KEY": chosen["secret"]}

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        """Return status code and JSON body."""
        address = self._worker.status()["http"]
        request = urllib.request.Request(
            f"http://{address['host']}:{address['port']}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers=self._headers | {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def submit(self, number: int, side: str = "buy") -> dict[str, Any]:
        """Submit a market order, again while the platform has no price yet; return the answer."""
        answers: list[dict[str, Any]] = []

        def accepted() -> bool:
            order = {"symbol": "BTC-USD", "qty": QTY, "side": side, "type": "market", "time_in_force": "gtc"}
            code, answer = self.call("POST", "/v2/orders", order | {"client_order_id": f"journey-{number}"})
            answers.append(answer)
            return code == 200

        until_sync(accepted)
        return answers[-1]

    def until_filled(self, order: str) -> None:
        """Wait until an order is filled."""
        until_sync(lambda: self.call("GET", f"/v2/orders/{order}")[1].get("status") == "filled")


def start(home: Path, broker: str) -> WorkerProcess:
    """Start the platform with the order path."""
    env = {"TRADE_SINK__MAX_SECONDS": "0.5", "TRADE_BROKER": broker}
    return WorkerProcess(home, "--roles", ROLES, env=env)


def audited(home: Path) -> dict[str, str]:
    """Return the findings that failed, over what all three tables hold."""
    lake = LakeIO(Lake(home / "lake"))
    taken = [lake.state(table).taken for table in TABLES]
    ends = {number: min(each.get(f"orders.journal-{number}", 0) for each in taken) for number in range(4)}
    found = audit(*(until(lake.whole(table), ends) for table in TABLES))
    return {f.name: f.message for findings in found.values() for f in findings if not f.passed}


def check_journey(tmp_path: Path, broker: str) -> None:
    """Trade, kill the process with an order on its way, start again, trade on, and audit what is in the lake."""
    with start(tmp_path, broker) as worker:
        worker.until_ready()
        client = Client(worker)
        order = client.submit(1)
        client.until_filled(order["id"])
        assert client.call("GET", "/v2/positions")[1][0]["qty"] == QTY
        acknowledged = client.submit(2)
        worker.kill()
    with start(tmp_path, broker) as worker:
        worker.until_ready()
        client = Client(worker)
        client.until_filled(acknowledged["id"])
        assert client.submit(2)["id"] == acknowledged["id"], "the same request is the same order"
        last = client.submit(3, "sell")
        client.until_filled(last["id"])
        assert client.call("GET", "/v2/positions")[1][0]["qty"] == QTY
        worker.signal()
        code, errors = worker.end()
        assert code == 0, errors
    lake = Lake(tmp_path / "lake")
    fills = lake.read(FILLS_V1)
    keys = {(row["order_id"], row["trade_id"]) for row in fills.to_pylist()}
    assert len(keys) == fills.num_rows
    ours = {answer["id"].replace("-", "") for answer in (order, acknowledged, last)}
    assert ours <= {order_id for order_id, _ in keys}
    assert audited(tmp_path) == {}


def test_an_order_ends_in_the_lake_and_survives_a_kill(tmp_path: Path) -> None:
    check_journey(tmp_path, "log://")


@pytest.mark.kafka
def test_an_order_ends_in_the_lake_on_kafka(kafka_node: KafkaNode, tmp_path: Path) -> None:
    folder = tmp_path / "kafka"
    folder.mkdir()
    # The session's node says whether one can run here; this journey needs empty topics.
    assert kafka_node.url
    node = KafkaNode(folder)
    node.start()
    try:
        check_journey(tmp_path / "home", node.url)
    finally:
        node.stop()
