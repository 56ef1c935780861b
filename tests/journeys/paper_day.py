"""A seeded day of quotes and trades as files, traded live on paper by a real process, and what it left."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from streaming.transport.client import BrokerClient
from streaming.transport.connect import connect
from tests.streaming.poll import until_sync
from tests.streaming.worker_process import WorkerProcess
from trading.commands import AnyCommand, decode_command
from trading.events import AnyEvent
from trading.market.batches import BarBatch, TickBatch
from trading.orders.journal import read_record
from trading.schemas import BARS, ORDERS_COMMANDS, ORDERS_JOURNAL, TICKS
from trading.strategies.rows import Bar, Tick, bars_in, ticks_in

ROLES = "ingest,normalize,orders,route,strategy"
INSTRUMENT = "SPY.US"
FEE_PPM = 137
# The regular session of 2024-01-02 in New York, its first hours.
OPEN_US = 1_704_205_800 * 10**6
DAY_S = 10_800
# Nothing moves at the end, so that the last orders find their fills.
QUIET_S = 3_000
EVERY_S = 0.4
# An hour in three seconds: the way from a bar to the venue takes seconds of the market's time, each time others.
SPEED = 1_200


class PaperDay(NamedTuple):
    """What a day left on the broker, each in the order of its topic; so many bars only warmed the strategy up."""

    ticks: list[Tick]
    bars: list[Bar]
    commands: list[AnyCommand]
    events: list[AnyEvent]
    warmed: int


def write_day(folder: Path, seed: int) -> Path:
    """Write the quotes and trades of a day, no two at one time; some quotes tell of one side only."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    count, quiet = int(DAY_S / EVERY_S), int(QUIET_S / EVERY_S)
    steps = rng.choice((-1, 0, 0, 0, 1), count)
    # Waves beneath the steps, so that averages cross each twelve minutes: an order is filled when the next one comes.
    wave = np.rint(300 * np.sin(np.arange(count) * EVERY_S * 2 * np.pi / 1_500)).astype(np.int64)
    steps[-quiet:], wave[-quiet:] = 0, wave[-quiet]
    mid = 45_000 + np.cumsum(steps) + wave
    ts_us = OPEN_US + np.arange(count) * int(EVERY_S * 1e6) + rng.integers(0, int(EVERY_S * 9e5), count)
    trade = rng.random(count) < 0.4
    half, side = rng.integers(1, 4, count), rng.random(count)
    jitter = np.where(side < 0.5, half, -half) * (np.arange(count) < count - quiet)
    size = rng.integers(10, 60, (2, count))
    both = {"ts": pa.array(ts_us, pa.timestamp("us", "UTC")), "symbol": pa.array(["SPY"] * count)}
    trades = {"trade_id": np.arange(count), "price": (mid + jitter) / 100, "qty": size[0]}
    quotes = {
        "bid": np.where(side < 0.1, 0.0, (mid - half) / 100),
        "bid_qty": size[0],
        "ask": np.where(side > 0.9, 0.0, (mid + half) / 100),
        "ask_qty": size[1],
    }
    for name, columns, rows in (("trades", trades, trade), ("quotes", quotes, ~trade)):
        pq.write_table(pa.table(both | columns).filter(pa.array(rows)), folder / f"{name}.parquet")
    return folder


def trade_day(home: Path, folder: Path, strategy: str, parameters: dict[str, Any]) -> PaperDay:
    """Replay the files through the whole ring in one process until the strategy is flat again; read what it left."""
    env = {
        "TRADE_STRATEGY__NAME": strategy,
        "TRADE_STRATEGY__PARAMETERS": json.dumps({"instrument": INSTRUMENT} | parameters),
        # The market's time runs fast: no answer is overdue.
        "TRADE_START__ACK_TIMEOUT_MS": "3600000",
        "TRADE_ROUTE__PAPER__MAKER_PPM": str(FEE_PPM),
        "TRADE_ROUTE__PAPER__TAKER_PPM": str(FEE_PPM),
    }
    with WorkerProcess(home, "--roles", ROLES, "--feed", f"replay:{folder}?speed={SPEED}", env=env) as worker:
        worker.until_ready()

        def over() -> bool:
            page = worker.get("/status")[1]
            still = page["feed"]["drained"] and not any(group["lag"] for group in page["groups"].values())
            strategy, route = (page["flows"][name].values() for name in ("strategy", "route"))
            told = sum(lane["bars"] + lane["warmed"] for lane in strategy)
            return bool(still) and told >= DAY_S // 60 - 1 and not any(lane["open"] for lane in route)

        until_sync(over, within_s=120)
        flows = worker.get("/status")[1]["flows"]
        warmed = sum(lane["warmed"] for lane in flows["strategy"].values())
        worker.signal()
        code, errors = worker.end()
        assert code == 0, errors
    return asyncio.run(_read(home, warmed))


async def _read(home: Path, warmed: int) -> PaperDay:
    client = connect(f"log://{home}/log")
    await client.start()
    ticks = [tick async for one in _all(client, TICKS.name, 2) for tick in ticks_in(TickBatch.decode(one))]
    bars = [bar async for one in _all(client, BARS.name, 2) for bar in bars_in(BarBatch.decode(one), 60)]
    commands = [decode_command(one) async for one in _all(client, ORDERS_COMMANDS.name, 4)]
    events = [event async for one in _all(client, ORDERS_JOURNAL.name, 4) for event in read_record(one).events]
    await client.stop()
    return PaperDay(ticks, bars, commands, events, warmed)


async def _all(client: BrokerClient, topic: str, partitions: int) -> AsyncIterator[bytes]:
    for number in range(partitions):
        end = await client.end_offset(topic, number)
        async for record in client.read(topic, number, await client.begin_offset(topic, number), end):
            if record.value:
                yield record.value
