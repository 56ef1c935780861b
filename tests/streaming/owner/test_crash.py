"""kill -9 of a desk under load: nothing acknowledged is lost, nothing is decided twice, on any run."""

import asyncio
import random
from functools import partial
from pathlib import Path

import pytest

from tests.streaming.owner.desk_driver import DeskProcess, Ledger, check, fund, order
from tests.streaming.poll import until

LOG_KILLS = 8
# The group notices a death after its session time, 10 s.
KAFKA_KILLS = 3
ANSWERED_S = 60.0
ACCOUNTS = tuple(f"acc-{n}" for n in range(6))
TASKS = 8


async def load(desk: DeskProcess, ledger: Ledger, names: list[str], stop: asyncio.Event) -> None:
    """Send orders, some through the topic; one without an answer is sent again later, under the same id."""
    rng = random.Random(7)
    while names and not stop.is_set():
        name = names.pop(0)
        account = ACCOUNTS[hash_of(name) % len(ACCOUNTS)]
        if rng.random() < 0.2:
            sent = await desk.send(order(name, account))
            ledger.sent.add(name)
        sent = await desk.execute(order(name, account))
        if not ledger.note(name, sent):
            names.append(name)
            await asyncio.sleep(0.01)


def _reached(ledger: Ledger, wanted: int) -> bool:
    return len(ledger.acknowledged) >= wanted


def hash_of(name: str) -> int:
    return sum(name.encode())


async def crash(broker: str, home: Path, kills: int) -> None:
    """Kill desks under load, then compare the journal with the ledger of the clients."""
    rng, ledger = random.Random(11), Ledger()
    names = [f"o{n}" for n in range(100_000)]
    for kill in range(kills + 1):
        desk = DeskProcess(home, broker)
        await desk.start()
        if kill == 0:
            await fund(desk, *ACCOUNTS)
        stop = asyncio.Event()
        before = len(ledger.acknowledged)
        working = [asyncio.create_task(load(desk, ledger, names, stop)) for _ in range(TASKS)]
        wanted = before + rng.randrange(20, 400)
        await until(partial(_reached, ledger, wanted), within_s=ANSWERED_S)
        if kill < kills:
            await desk.kill()
            stop.set()
            await asyncio.gather(*working)
        else:
            stop.set()
            await asyncio.gather(*working)
            assert await desk.stop() == 0
    await check(ledger, f"log://{home}/log" if broker == "log://" else broker)


async def test_kill_at_random_moments_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    await crash("log://", tmp_path / "home", LOG_KILLS)


@pytest.mark.kafka
async def test_the_same_on_kafka(tmp_path: Path, broker: str) -> None:
    await crash(broker, tmp_path / "home", KAFKA_KILLS)
