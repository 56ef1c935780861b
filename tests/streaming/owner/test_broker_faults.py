"""Kafka stands still and goes on: callers get refusals meanwhile, and nothing that was acknowledged is lost."""

import asyncio
from pathlib import Path

import pytest

from tests.kafka_node import KafkaNode
from tests.streaming.owner.desk_driver import DeskProcess, Router, check, fund
from tests.streaming.poll import until

pytestmark = pytest.mark.kafka

ACCOUNTS = tuple(f"acc-{n}" for n in range(8))
CLIENTS = 6
EVERY_S = 0.02
BACK_S = 90.0
REFUSALS = ("WRITE_LOST", "NOT_READY", "NOT_OWNER", "TIMEOUT")


async def answered(router: Router, more: int) -> None:
    """Wait until the clients have got this many answers more."""
    wanted = len(router.ledger.acknowledged) + more
    await until(lambda: len(router.ledger.acknowledged) >= wanted, within_s=BACK_S)


async def test_a_broker_that_stands_still_is_a_refusal_and_then_over(node: KafkaNode, tmp_path: Path) -> None:
    desk = DeskProcess(tmp_path / "one", node.url, "http://one")
    await desk.start()
    await fund(desk, *ACCOUNTS)
    router = Router(desk)
    names = [f"o{n}" for n in range(100_000)]
    working = [asyncio.create_task(router.run(names, ACCOUNTS, EVERY_S)) for _ in range(CLIENTS)]
    await answered(router, 100)
    node.pause()
    await until(lambda: sum(router.codes[code] for code in REFUSALS) > 0, within_s=BACK_S)
    node.resume()
    await answered(router, 200)
    router.stop.set()
    await asyncio.gather(*working)
    await router.settle()
    assert router.codes["DEAD"] == 0
    await check(router.ledger, node.url)
    await desk.kill()
