"""Kill -9 of the whole order path at random moments under load, and the comparison with the client's own ledger."""

import asyncio
import json
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from streaming.api.keys import Key, open_keys
from streaming.bench.order_client import Address, Pool
from streaming.bench.order_state import Caller, administrator, allow, audit, caught_up, listing, quoting, traders
from streaming.owner.journal_fold import JournalReader
from streaming.owner.recovery import fold_journal, recover
from streaming.transport.connect import connect
from tests.journeys import witness_venue
from tests.journeys.order_trader import SYMBOL, Trader
from tests.streaming.owner.desk_driver import accepted
from tests.streaming.poll import until
from tests.streaming.worker_process import WorkerProcess
from trading.amounts import to_text
from trading.events import OrderFilled
from trading.instruments import CATALOGUE
from trading.orders.idempotency import order_id
from trading.orders.snapshot import state_hash
from trading.schemas import ORDERS_JOURNAL

SEED = 20_261_128
ROLES = "ingest,normalize,orders"
ACCOUNTS = [f"kill-{number}" for number in range(12)]
PARTITIONS = 4
CONNECTIONS = 32
OPEN_ORDERS = 10_000
ANSWERS = (20, 700)
EARLY_SHARE = 0.2
EARLY_S = (0.2, 2.5)
WITHIN_S = 120.0
INSTRUMENT = "BTC-USD.SIM"


def _worker(home: Path, broker: str) -> WorkerProcess:
    env = {"TRADE_BROKER": broker, "TRADE_API__ACCOUNTS": json.dumps(ACCOUNTS), "TRADE_FEED__RATE": "200"}
    env |= {"TRADE_FEED__LINGER_MS": "50", "TRADE_ORDERS__SNAPSHOT_RECORDS": "200"}
    return WorkerProcess(home, "--roles", ROLES, "--flow", "tests.journeys.witness_venue:FLOW", env=env)


@asynccontextmanager
async def _connected(worker: WorkerProcess) -> AsyncIterator[Pool]:
    await asyncio.to_thread(worker.until_ready)
    page = worker.status()["http"]
    pool = Pool(Address(page["host"], page["port"]), CONNECTIONS)
    await pool.start()
    yield pool
    await pool.stop()


async def _trader(home: Path, broker: str) -> Trader:
    """Return a client that knows its keys and where the market is."""
    with _worker(home, broker) as worker:
        async with _connected(worker) as pool:
            caller, ring = Caller(pool), list(open_keys(home, ()))
            keys = traders(ring, len(ACCOUNTS))
            await allow(caller, administrator(ring), ACCOUNTS, OPEN_ORDERS)
            return Trader(keys, await quoting(caller, keys[0], SYMBOL), SEED)


async def sweep(home: Path, broker: str, kills: int) -> None:
    """Kill under load `kills` times, then let everything be answered, and compare."""
    rng = random.Random(SEED)
    trader = await _trader(home, broker)
    for _ in range(kills):
        with _worker(home, broker) as worker:
            if rng.random() < EARLY_SHARE:
                # While it starts: the moment is what is drawn, so there is nothing to wait for.
                await asyncio.sleep(rng.uniform(*EARLY_S))
                worker.kill()
                continue
            async with _connected(worker) as pool:
                stop, wanted = asyncio.Event(), trader.answers + rng.randrange(*ANSWERS)
                trading = asyncio.create_task(trader.run(pool, stop))
                await until(partial(_reached, trader, wanted), within_s=WITHIN_S)
                worker.kill()
                stop.set()
                await trading
    with _worker(home, broker) as worker:
        async with _connected(worker) as pool:
            stop = asyncio.Event()
            trading = asyncio.create_task(trader.run(pool, stop, fresh=False))
            await until(lambda: trader.settled, within_s=WITHIN_S)
            stop.set()
            await trading
            shown = await _end(home, pool, trader)
        worker.signal()
        code, errors = await asyncio.to_thread(worker.end)
        assert code == 0, errors
    print(f"\n{kills} kills: {len(trader.accepted)} accepted, {len(trader.refused)} refused, {dict(trader.codes)}")  # noqa: T201
    assert trader.contradictions == []
    assert trader.sent.keys() == trader.accepted.keys() | trader.refused.keys()
    await _compare(home, f"log://{home}/log" if broker == "log://" else broker, trader, shown)


def _reached(trader: Trader, wanted: int) -> bool:
    return trader.answers >= wanted


async def _end(home: Path, pool: Pool, trader: Trader) -> dict[str, dict[str, Any]]:
    """Cancel what is open, wait until all is at rest, and return every order as the server shows it."""
    caller, ring = Caller(pool), list(open_keys(home, ()))
    keys, admin = traders(ring, len(ACCOUNTS)), administrator(ring)
    for key in keys:
        await caller.ask("DELETE", "/v2/orders", key)
    shown: dict[str, dict[str, Any]] = {}
    for key in keys:
        while await listing(caller, key, "open", "kill-"):
            await caught_up(caller, admin)
        orders = await listing(caller, key, "closed", "kill-")
        assert len({order["client_order_id"] for order in orders}) == len(orders)
        shown |= {order["client_order_id"]: order for order in orders}
        filled = sum(Decimal(o["filled_qty"]) * (1 if o["side"] == "buy" else -1) for o in orders)
        positions = await caller.call("GET", "/v2/positions", key)
        assert sum(Decimal(position["qty"]) for position in positions) == filled, key.account
    assert await audit(caller, admin) == []
    return shown


async def _compare(home: Path, broker: str, trader: Trader, shown: dict[str, dict[str, Any]]) -> None:
    """Compare the client's ledger, what the server shows, the journal, and what the venue was asked and said."""
    client = connect(broker)
    await client.start()
    counts, _ = await accepted(client, PARTITIONS)
    fills: dict[tuple[str, str], tuple[str, str, int]] = {}
    for number in range(PARTITIONS):
        end = await client.end_offset(ORDERS_JOURNAL.name, number)
        found, genesis = await recover(client, number, end), await fold_journal(client, number, end)
        assert state_hash(found.state) == state_hash(genesis.state), number
        reader = JournalReader()
        async for message in client.read(ORDERS_JOURNAL.name, number, 0, end):
            record = reader.take(message)
            for event in () if record is None else record.events:
                if isinstance(event, OrderFilled):
                    assert (event.venue, event.trade_id) not in fills, f"a fill twice: {event}"
                    fills[event.venue, event.trade_id] = (event.account, event.order, event.qty)
    await client.stop()
    assert counts == Counter(dict.fromkeys(trader.accepted, 1)), "lost, decided twice, or never sent"
    assert shown.keys() == trader.accepted.keys()
    assert {name: shown[name]["id"] for name in shown} == trader.accepted
    assert {shown[name]["status"] for name in trader.canceled} <= {"canceled"}
    _compare_with_venue(home, trader, shown, fills)


def _compare_with_venue(
    home: Path, trader: Trader, shown: dict[str, dict[str, Any]], fills: dict[tuple[str, str], tuple[str, str, int]]
) -> None:
    requests: defaultdict[str, set[str]] = defaultdict(set)
    executions: dict[tuple[str, str], str] = {}
    for verb, order, name, qty in witness_venue.seen(home):
        if verb == "new":
            requests[order].add(name)
        elif verb == "fill":
            # Said again after a kill it is the same trade with the same quantity.
            assert executions.setdefault((order, name), qty) == qty
    ours = {order_id(_account(trader.sent[name]), name) for name in trader.accepted}
    assert requests.keys() <= ours, "asked of the venue, though no journal has it"
    assert [order for order, ids in requests.items() if len(ids) != 1] == []
    scale = CATALOGUE[INSTRUMENT].qty_scale
    booked = {(order, trade): to_text(qty, scale) for (_, trade), (_, order, qty) in fills.items()}
    assert booked.items() <= executions.items(), "in the journal, though the venue has not said so"
    done: Counter[str] = Counter()
    for _, order, lots in fills.values():
        done[order] += lots
    filled = {order_id(_account(trader.sent[name]), name): Decimal(shown[name]["filled_qty"]) for name in shown}
    assert {order: qty for order, qty in filled.items() if qty} == {
        o: Decimal(to_text(q, scale)) for o, q in done.items()
    }
    assert done, "nothing was traded"


def _account(key: Key) -> str:
    return key.account
