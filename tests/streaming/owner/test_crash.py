"""kill -9 of a desk under load: nothing acknowledged is lost, nothing is decided twice, on any run."""

import asyncio
import random
from functools import partial
from pathlib import Path

from tests.streaming.owner.desk_driver import DeskProcess, Ledger, check, fund, order
from tests.streaming.poll import until

KILLS = 8
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


async def test_kill_at_random_moments_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    rng, ledger, home = random.Random(11), Ledger(), tmp_path / "home"
    names = [f"o{n}" for n in range(100_000)]
    for kill in range(KILLS + 1):
        desk = DeskProcess(home, "log://")
        await desk.start()
        if kill == 0:
            await fund(desk, *ACCOUNTS)
        stop = asyncio.Event()
        before = len(ledger.acknowledged)
        working = [asyncio.create_task(load(desk, ledger, names, stop)) for _ in range(TASKS)]
        wanted = before + rng.randrange(20, 400)
        await until(partial(_reached, ledger, wanted))
        if kill < KILLS:
            await desk.kill()
            stop.set()
            await asyncio.gather(*working)
        else:
            stop.set()
            await asyncio.gather(*working)
            assert await desk.stop() == 0
    await check(ledger, f"log://{home}/log")
