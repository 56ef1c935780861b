"""The journal as tools of other people read it from Apache Kafka: aiokafka and kcat, with nothing of ours but bytes."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from itertools import dropwhile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiokafka import AIOKafkaConsumer
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderStatus

from tests.clients.test_real_desk import client_of, opened, order, taken
from tests.kafka_node import KafkaNode
from tests.streaming.poll import until_sync
from tests.streaming.worker_process import WorkerProcess

pytestmark = pytest.mark.kafka
TOPIC = "orders.journal"
HASH_CHARS = len(',"hash":""}') + 64
READ_S = 60.0


class Traded(NamedTuple):
    """Where the journal is, and an order that is in it."""

    bootstrap: str
    order: str


@pytest.fixture(scope="module")
def traded(kafka_node: KafkaNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traded]:
    """Let alpaca-py trade on a platform over a Kafka node of its own, then stop the platform."""
    assert kafka_node.url, "the session's node says whether one can run here"
    node = KafkaNode(tmp_path_factory.mktemp("node"))
    node.start()
    try:
        home = tmp_path_factory.mktemp("home")
        with WorkerProcess(home, "--roles", "ingest,normalize,orders,route", env={"TRADE_BROKER": node.url}) as worker:
            worker.until_ready()
            yield Traded(node.url.removeprefix("kafka://"), trade(worker, home))
    finally:
        node.stop()


def trade(worker: WorkerProcess, home: Path) -> str:
    until_sync(lambda: (home / "keys.json").exists())
    client: TradingClient = client_of(worker)
    until_sync(lambda: opened(client))
    until_sync(lambda: taken(client, "bought"))
    until_sync(lambda: order(client, "bought").status == OrderStatus.FILLED)
    made = order(client, "bought").id.hex
    worker.signal()
    code, errors = worker.end()
    assert code == 0, errors
    return made


async def consumed(bootstrap: str) -> dict[int, list[bytes]]:
    """Return the values of the topic by partition, read as any consumer reads them."""
    consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        found: dict[int, list[bytes]] = {part.partition: [] for part in ends}
        async with asyncio.timeout(READ_S):
            while any([await consumer.position(part) < end for part, end in ends.items()]):
                for part, messages in (await consumer.getmany(timeout_ms=200)).items():
                    found[part.partition] += [message.value for message in messages if message.value]
        return found
    finally:
        await consumer.stop()


def check(partitions: dict[int, list[bytes]], wanted: str) -> None:
    """Verify the hash chain of every partition with a hash function alone, and find the story of the order."""
    events: list[dict[str, Any]] = []
    for values in partitions.values():
        previous = ""
        for number, value in enumerate(values, 1):
            record = json.loads(value)
            assert (record["schema"], record["seq"], record["prev_hash"]) == ("orders.journal/1", number, previous)
            previous = sha256(value[:-HASH_CHARS] + b"}").hexdigest()
            assert record["hash"] == previous
            events += record["events"]
    assert len(partitions) == 4
    told = (event["kind"] for event in events if event.get("order") == wanted)
    # What the client sent before the first price was refused, and is on record under the id that it sent again.
    kinds = list(dropwhile(lambda kind: kind == "order_refused", told))
    assert kinds[0] == "order_accepted"
    assert kinds[-1] == "order_filled"


def test_aiokafka_reads_a_whole_chain(traded: Traded) -> None:
    check(asyncio.run(consumed(traded.bootstrap)), traded.order)


def test_kcat_reads_a_whole_chain(traded: Traded) -> None:
    kcat = shutil.which("kcat") or shutil.which("kafkacat")
    if kcat is None:
        pytest.skip("no kcat: `make debian` fetches it on Debian as root, or put it on the PATH")
    command = [kcat, "-C", "-q", "-e", "-b", traded.bootstrap, "-t", TOPIC, "-o", "beginning", "-f", "%p %s\\n"]
    done = subprocess.run(command, capture_output=True, timeout=READ_S, check=True)
    partitions: dict[int, list[bytes]] = {}
    for line in done.stdout.splitlines():
        number, _, value = line.partition(b" ")
        # A new owner begins with a barrier, which has no value.
        if value:
            partitions.setdefault(int(number), []).append(value)
    check(partitions, traded.order)
