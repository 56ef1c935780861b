"""alpaca-py's TradingStream, unmodified, at a process that does not own the account, and when its owner dies."""

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import LimitOrderRequest

from streaming.owner.desk import partition_of
from tests.clients.test_alpaca_stream import Listener
from tests.kafka_node import KafkaNode
from tests.streaming.poll import until_sync
from tests.streaming.worker_process import WorkerProcess

PARTITIONS = 4
ACCOUNTS = [f"account-{number}" for number in range(8)]
WAIT_S = 90.0
SOON_S = 0.5

pytestmark = pytest.mark.kafka


class Pair(NamedTuple):
    """An owner of orders, and a process that has everything and another part of the accounts."""

    owner: WorkerProcess
    other: WorkerProcess


@pytest.fixture
def pair(own_node: KafkaNode, tmp_path: Path) -> Iterator[Pair]:
    env = {"TRADE_BROKER": own_node.url, "TRADE_API__ACCOUNTS": json.dumps(ACCOUNTS)}
    homes = [tmp_path / "owner", tmp_path / "other"]
    with ExitStack() as stack:
        owner = stack.enter_context(WorkerProcess(homes[0], "--roles", "orders", env=env))
        until_sync(lambda: (homes[0] / "keys.json").exists(), within_s=WAIT_S)
        homes[1].mkdir()
        shutil.copy(homes[0] / "keys.json", homes[1])
        roles = "ingest,normalize,orders,route"
        other = stack.enter_context(WorkerProcess(homes[1], "--roles", roles, env=env))
        until_sync(lambda: shared(owner, other), within_s=WAIT_S)
        yield Pair(owner, other)


def owned(worker: WorkerProcess) -> set[int]:
    lanes = worker.get("/status")[1]["flows"].get("orders", {}) if worker.status().get("state") == "ready" else {}
    return {int(number) for number, lane in lanes.items() if lane.get("owned")}


def shared(one: WorkerProcess, two: WorkerProcess) -> bool:
    """Tell whether each has a part and no partition is at both: a page of status may be a moment old."""
    first, second = owned(one), owned(two)
    return bool(first) and bool(second) and not first & second and first | second == set(range(PARTITIONS))


def address_of(worker: WorkerProcess) -> str:
    http = worker.status()["http"]
    return f"{http['host']}:{http['port']}"


def submitted(client: TradingClient, name: str) -> bool:
    wish: dict[str, Any] = {"side": OrderSide.BUY, "time_in_force": TimeInForce.GTC, "limit_price": 100}
    try:
        client.submit_order(LimitOrderRequest(symbol="ETH/USD", qty=0.5, client_order_id=name, **wish))
    except (APIError, requests.ConnectionError):
        # Prices, limits or an owner are not there yet.
        return False
    return True


def is_elsewhere(worker: WorkerProcess, account: str) -> bool:
    return partition_of(account, PARTITIONS) not in owned(worker)


def test_updates_of_an_account_come_through_any_process_and_go_on_after_its_owner_died(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    owner, other = pair
    account = next(name for name in ACCOUNTS if partition_of(name, PARTITIONS) in owned(owner))
    rows = json.loads((other.home / "keys.json").read_text())["keys"]
    key_id, secret = next((row["key_id"], row["secret"]) for row in rows if row["account"] == account)
    client = TradingClient(key_id, secret, url_override=f"http://{address_of(other)}")
    listener = Listener(address_of(other), key_id, secret)
    listener.thread.start()

    def is_told_of_orders(stage: str) -> None:
        """Send orders until one is told: a stream tells nothing of what came before it."""
        numbers = count()

        def told() -> bool:
            name = f"{stage}-{next(numbers)}"
            return submitted(client, name) and listener.hears(name, SOON_S)

        until_sync(told, within_s=WAIT_S)

    is_told_of_orders("before")
    assert is_elsewhere(other, account)
    owner.kill()
    is_told_of_orders("after")
    until_sync(lambda: not is_elsewhere(other, account), within_s=WAIT_S)
    listener.stream.stop()
    listener.thread.join(20)
    assert not listener.thread.is_alive()
