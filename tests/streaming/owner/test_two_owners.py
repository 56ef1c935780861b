"""Two desks on Kafka. One ends, is killed, or stopped and woken: the other goes on; nothing acknowledged is lost."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.streaming.owner.desk_driver import DeskProcess, Router, check, fund
from tests.streaming.poll import until

pytestmark = pytest.mark.kafka

ACCOUNTS = tuple(f"acc-{n}" for n in range(8))
# About 300 orders a second.
CLIENTS = 12
EVERY_S = 0.03
STOPPED_S = 15.0
TAKE_OVER_S = 60.0


@pytest.fixture
async def desks(broker: str, tmp_path: Path) -> AsyncIterator[tuple[DeskProcess, DeskProcess]]:
    """Return two desks that own partitions both."""
    one = DeskProcess(tmp_path / "one", broker, "http://one")
    two = DeskProcess(tmp_path / "two", broker, "http://two")
    await one.start()
    await fund(one, *ACCOUNTS)
    await two.start()
    yield one, two
    await one.kill()
    await two.kill()


async def answered(router: Router, more: int) -> None:
    """Wait until the clients have got this many answers more."""
    wanted = len(router.ledger.acknowledged) + more
    await until(lambda: len(router.ledger.acknowledged) >= wanted, within_s=TAKE_OVER_S)


def start(router: Router) -> list[asyncio.Task[None]]:
    """Start the clients."""
    names = [f"o{n}" for n in range(100_000)]
    return [asyncio.create_task(router.run(names, ACCOUNTS, EVERY_S)) for _ in range(CLIENTS)]


async def finish(router: Router, working: list[asyncio.Task[None]], broker: str) -> None:
    """Stop the clients and compare the journal with their ledger."""
    router.stop.set()
    await asyncio.gather(*working)
    await router.settle()
    await check(router.ledger, broker)


async def test_an_owner_that_is_killed_is_replaced_and_nothing_is_lost(
    broker: str, desks: tuple[DeskProcess, DeskProcess]
) -> None:
    one, two = desks
    router = Router(one, two)
    working = start(router)
    await answered(router, 300)
    await until(lambda: set(router._known.values()) == {one.url, two.url}, within_s=TAKE_OVER_S)
    await one.kill()
    killed_s = time.monotonic()
    await until(
        lambda: len(router._known) == len(ACCOUNTS) and set(router._known.values()) == {two.url}, within_s=TAKE_OVER_S
    )
    print(f"\ntake-over after kill -9: {time.monotonic() - killed_s:.1f} s, {dict(router.codes)}")  # noqa: T201
    await answered(router, 100)
    await finish(router, working, broker)


async def test_an_owner_that_ends_hands_over_and_comes_back_and_nothing_is_lost(
    broker: str, desks: tuple[DeskProcess, DeskProcess]
) -> None:
    one, two = desks
    router = Router(one, two)
    working = start(router)
    for _ in range(2):
        await answered(router, 300)
        await until(lambda: set(router._known.values()) == {one.url, two.url}, within_s=TAKE_OVER_S)
        one.signal(signal.SIGTERM)
        assert await one.ended() == 0
        await until(
            lambda: len(router._known) == len(ACCOUNTS) and set(router._known.values()) == {two.url},
            within_s=TAKE_OVER_S,
        )
        await one.start()
    print(f"\nafter two hand-overs each way: {dict(router.codes)}")  # noqa: T201
    await finish(router, working, broker)


async def test_an_owner_that_was_stopped_is_refused_when_it_wakes(
    broker: str, desks: tuple[DeskProcess, DeskProcess]
) -> None:
    one, two = desks
    router = Router(one, two)
    working = start(router)
    await answered(router, 300)
    await until(lambda: set(router._known.values()) == {one.url, two.url}, within_s=TAKE_OVER_S)
    one.signal(signal.SIGSTOP)
    await asyncio.sleep(STOPPED_S)
    await until(
        lambda: len(router._known) == len(ACCOUNTS) and set(router._known.values()) == {two.url}, within_s=TAKE_OVER_S
    )
    before = router.codes["WRITE_LOST"]
    one.signal(signal.SIGCONT)
    await answered(router, 300)
    await finish(router, working, broker)
    print(f"after SIGSTOP and SIGCONT: {dict(router.codes)}")  # noqa: T201
    # What reached it while it stood still it tried to write when it woke, and the broker refused that.
    assert router.codes["WRITE_LOST"] > before
    assert '"FENCED"' in (one.home / "stderr.txt").read_text()
    assert router.codes["DEAD"] == 0
