"""A platform of the benchmark's own, in a home and on ports of its own.

The embedded broker is for one process. On Kafka the owner of the orders has a process to itself, as a desk would run it
there: what is busy beside it does not hold up its answers.
"""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from streaming.bench.order_client import Address
from streaming.settings import ENV_PREFIX
from streaming.status import FILE

SINKS = ("sink-journal",)
OWNER = ("orders",)
BESIDE = ("ingest", "normalize", "route", *SINKS)
FEED_RATE = 200.0
# A frame costs much the same whether it holds one tick or ten; orders are measured here, not ticks.
LINGER_MS = 50.0
START_S = 60.0
STOP_S = 90.0
POLL_S = 0.05
LOG_FILE = "worker.log"
TOLD_BYTES = 2_000


class Place(NamedTuple):
    """Where the order API answers, and the processes beside it."""

    orders: Address
    beside: tuple[Address, ...] = ()


class PlaceError(Exception):
    """The platform did not start, or ended."""


def account_names(count: int) -> list[str]:
    """Return names that no earlier run on the same broker has used."""
    run = secrets.token_hex(3)
    return [f"load-{run}-{number}" for number in range(count)]


@contextlib.asynccontextmanager
async def platform(home: Path, broker: str, accounts: list[str], feed_rate: float = FEED_RATE) -> AsyncIterator[Place]:
    """Run a whole platform in a folder that exists; yield where it answers. Raises `PlaceError`."""
    if broker.startswith("log://"):
        async with worker(home, broker, accounts, (*OWNER, *BESIDE), feed_rate) as (_, address):
            yield Place(address)
        return
    other = home / "beside"
    other.mkdir()
    async with (
        worker(home, broker, accounts, OWNER, feed_rate) as (_, address),
        worker(other, broker, accounts, BESIDE, feed_rate) as (_, beside),
    ):
        yield Place(address, (beside,))


@contextlib.asynccontextmanager
async def worker(
    home: Path, broker: str, accounts: list[str], roles: Sequence[str], feed_rate: float = FEED_RATE
) -> AsyncIterator[tuple[asyncio.subprocess.Process, Address]]:
    """Run a worker with some roles; yield it and where it answers. Raises `PlaceError`."""
    settings = {
        "HOME": str(home),
        "BROKER": broker,
        "HTTP__PORT": "0",
        "FEED__RATE": str(feed_rate),
        "FEED__LINGER_MS": str(LINGER_MS),
        "API__ACCOUNTS": json.dumps(accounts),
    }
    env = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
    env |= {f"{ENV_PREFIX}{name}": value for name, value in settings.items()}
    with (home / LOG_FILE).open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "streaming.worker", "--roles", ",".join(roles)),
            cwd=home,
            env=env | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield process, await _ready(process, home)
    finally:
        await _end(process)


async def _ready(process: asyncio.subprocess.Process, home: Path) -> Address:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_S
    while process.returncode is None and loop.time() < deadline:
        page = _page(home)
        if page.get("pid") == process.pid and page["state"] == "ready":
            return Address(page["http"]["host"], page["http"]["port"])
        await asyncio.sleep(POLL_S)
    words = (home / LOG_FILE).read_bytes()[-TOLD_BYTES:].decode(errors="replace")
    raise PlaceError(f"the worker did not become ready within {START_S:.0f} s:\n{words}")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), STOP_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def _page(home: Path) -> dict[str, Any]:
    try:
        page: dict[str, Any] = json.loads((home / FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return page
