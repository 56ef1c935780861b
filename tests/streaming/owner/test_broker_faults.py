"""Kafka stands still, or dies and comes back: callers get refusals meanwhile, and nothing acknowledged is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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


@asynccontextmanager
async def loaded(node: KafkaNode, home: Path) -> AsyncIterator[Router]:
    """Run clients of one desk; at the end it must still live, and the journal must hold what they know."""
    desk = DeskProcess(home, node.url, "http://one")
    await desk.start()
    await fund(desk, *ACCOUNTS)
    router = Router(desk)
    names = [f"o{n}" for n in range(100_000)]
    working = [asyncio.create_task(router.run(names, ACCOUNTS, EVERY_S)) for _ in range(CLIENTS)]
    await answered(router, 100)
    yield router
    await answered(router, 200)
    router.stop.set()
    await asyncio.gather(*working)
    await router.settle()
    assert router.codes["DEAD"] == 0
    await check(router.ledger, node.url)
    await desk.kill()


async def refused(router: Router) -> None:
    """Wait until a client was refused."""
    before = sum(router.codes[code] for code in REFUSALS)
    await until(lambda: sum(router.codes[code] for code in REFUSALS) > before, within_s=BACK_S)


async def test_a_broker_that_stands_still_is_a_refusal_and_then_over(node: KafkaNode, tmp_path: Path) -> None:
    async with loaded(node, tmp_path / "one") as router:
        node.pause()
        await refused(router)
        node.resume()


async def test_a_broker_that_is_killed_under_load_is_a_refusal_and_then_over(node: KafkaNode, tmp_path: Path) -> None:
    async with loaded(node, tmp_path / "one") as router:
        node.kill()
        await refused(router)
        await asyncio.to_thread(node.start)
