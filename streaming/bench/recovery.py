"""`python -m streaming.bench.recovery`: start of an owner on an old journal: snapshot, fold of the tail, ready.

The journal is made by the real core: orders that are accepted, acknowledged, partly filled or cancelled, over some
days, so that old orders have left the state. A worker process is then started on it, as a crash would leave it. With
`--roles all` it has run before, until the read model and the lake had the journal too, and was killed.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from streaming import topics
from streaming.api.history import History
from streaming.api.service import HISTORY_FILE
from streaming.owner import snapshots
from streaming.owner.apply import apply
from streaming.owner.desk import partition_of
from streaming.owner.history import packaged_model
from streaming.settings import Settings
from streaming.transport.client import BrokerClient
from streaming.transport.connect import connect
from trading import commands as c
from trading.instruments import CATALOGUE
from trading.orders.idempotency import order_id
from trading.orders.journal import append_fence
from trading.orders.state import State
from trading.risk.market import MarketView, Quote
from trading.schemas import ORDERS_JOURNAL, ORDERS_STATE

FOLD_BAR_S = 1.0
READY_BAR_S = {"log": 5.0, "kafka": 8.0}
ACCOUNTS = 16
GROUP = 500
INSTRUMENT = "BTC-USD.SIM"
MARK = 60_000_00
DAY_NS = 86_400 * 10**9
HOUR_NS = 3_600 * 10**9
START_S = 120.0
SETTLE_S = 600.0
STOP_S = 60.0
POLL_S = 0.01
SETTLE_POLL_S = 1.0
OWNER, LAKE = "orders", "sink-journal"
LAKE_LAG = 1_000
# Each start folds the same tail, as if the last one had been killed before its first snapshot.
NO_SNAPSHOTS = {"TRADE_ORDERS__SNAPSHOT_S": "3600", "TRADE_ORDERS__SNAPSHOT_RECORDS": "100000"}
Page = dict[str, Any]


def limits() -> c.LimitsBody:
    """Return limits that the load never reaches."""
    return c.LimitsBody(
        max_order_qty="1000",
        max_order_value="100000000",
        max_position_qty="1000000",
        max_var="1000000000",
        collar_bps=5_000,
        concentration_bps=100_000,
        margin_bps=5_000,
        max_open_orders=100_000,
        message_rate=1_000_000,
        message_burst=1_000_000,
        repeat_count=1_000,
        repeat_window_ms=1,
        price_max_age_ms=86_400_000,
        valuation_max_age_ms=86_400_000,
        ack_timeout_ms=3_600_000,
        order_timeout_ms=0,
        short_allowed=True,
    )


def history(accounts: Sequence[str], records: int) -> Iterator[c.AnyCommand]:
    """Yield commands that leave a record each: a tenth of the orders is filled, the others are cancelled."""
    for account in accounts:
        yield c.OpenAccount(account=account, ts_ns=0, actor="bench")
        yield c.Deposit(account=account, ts_ns=0, actor="bench", ref="r", amount="1000000000")
        yield c.SetLimits(account=account, ts_ns=0, actor="bench", limits=limits())
    left, number = records - 3 * len(accounts), 0
    while left > 0:
        account = accounts[number % len(accounts)]
        name, order = f"o{number}", order_id(account, f"o{number}")
        side: c.Side = "buy" if number % 2 else "sell"
        price = str(59_000 + number % 500 if side == "buy" else 61_000 + number % 500)
        steps: list[c.AnyCommand] = [
            c.SubmitOrder(
                account=account,
                ts_ns=0,
                client_order_id=name,
                instrument=INSTRUMENT,
                side=side,
                qty="0.01",
                type="limit",
                tif="gtc",
                limit_price=price,
            ),
            c.VenueAccepted(account=account, ts_ns=0, order=order, venue="SIM", venue_order_id=name),
        ]
        if number % 10 == 0:
            steps.append(
                c.VenueFill(
                    account=account,
                    ts_ns=0,
                    order=order,
                    venue="SIM",
                    trade_id=name,
                    instrument=INSTRUMENT,
                    side=side,
                    qty="0.01",
                    price=price,
                )
            )
        else:
            steps.append(c.CancelOrder(account=account, ts_ns=0, order=order))
            steps.append(c.VenueCanceled(account=account, ts_ns=0, order=order, venue="SIM"))
        yield from steps[:left]
        left -= len(steps)
        number += 1


async def build(client: BrokerClient, partition: int, partitions: int, records: int, tail: int, days: float) -> None:
    """Write the journal of one partition, and a snapshot `tail` records before its end."""
    names = (f"acc-{n}" for n in range(1_000_000))
    accounts = [name for name, _ in zip(_of(names, partition, partitions), range(ACCOUNTS), strict=False)]
    state, model = State(), packaged_model(CATALOGUE)
    end_ns = time.time_ns()
    start_ns, step_ns = end_ns - int(days * DAY_NS), int(days * DAY_NS) // records
    timer_ns = start_ns + HOUR_NS
    pairs: list[tuple[bytes | None, bytes | None]] = [(b"", append_fence(state, "bench", start_ns))]
    snapshot_at = max(1, records - tail)
    for number, command in enumerate(history(accounts, records)):
        ts_ns = start_ns + number * step_ns
        view = MarketView(CATALOGUE, {INSTRUMENT: Quote(MARK, ts_ns, MARK - 1, MARK + 1, MARK)}, model)
        work: list[c.AnyCommand] = [command]
        if ts_ns >= timer_ns:
            timer_ns += HOUR_NS
            work.append(c.Timer(account="", ts_ns=ts_ns))
        for one in work:
            pairs += [(a.encode(), p) for a, p in apply(state, one, f"bench-{number}", ts_ns, view).records]
        if number == snapshot_at or len(pairs) >= GROUP:
            await client.append(ORDERS_JOURNAL.name, partition, pairs)
            pairs = []
        if number == snapshot_at:
            taken = snapshots.cut(state, state.seq - 1)

            async def to_state(rows: list[tuple[bytes | None, bytes | None]]) -> int:
                return await client.append(ORDERS_STATE.name, partition, rows)

            await snapshots.write(taken, to_state)
    await client.append(ORDERS_JOURNAL.name, partition, pairs)


def _of(names: Iterator[str], partition: int, partitions: int) -> Iterator[str]:
    return (name for name in names if partition_of(name, partitions) == partition)


def start_worker(home: Path, broker: str, roles: str, settled: Callable[[Page], bool]) -> tuple[float, Page]:
    """Start roles, wait until they are ready and then settled, kill them; return seconds to ready and the page then."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TRADE_")}
    env = clean | {"TRADE_HOME": str(home), "TRADE_BROKER": broker, "TRADE_HTTP__PORT": "0", **NO_SNAPSHOTS}
    started = time.monotonic()
    worker = subprocess.Popen(
        [sys.executable, "-m", "streaming.worker", roles, "--log-level", "ERROR"], env=env, stderr=sys.stderr
    )
    page: Page = {}
    try:
        while page.get("state") != "ready" or page.get("pid") != worker.pid:
            if worker.poll() is not None or time.monotonic() - started > START_S:
                raise RuntimeError(f"the worker is not ready: {page.get('error')}")
            time.sleep(POLL_S)
            path = home / "status" / "streaming.json"
            page = json.loads(path.read_text()) if path.exists() else {}
        ready_s = time.monotonic() - started
        while not settled(_fetch(page)):
            if worker.poll() is not None or time.monotonic() - started > SETTLE_S:
                raise RuntimeError("the worker has not caught up with the journal")
            time.sleep(SETTLE_POLL_S)
        return ready_s, page
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait(STOP_S)


def is_kept(page: Page) -> bool:
    """Say whether the lake has nearly all of the journal: the last rows wait for others."""
    group = page["groups"].get(LAKE)
    return group is None or group["lag"] <= LAKE_LAG


def _fetch(page: Page) -> Page:
    http = page["http"]
    with urlopen(f"http://{http['host']}:{http['port']}/status", timeout=START_S) as answer:
        found: Page = json.load(answer)
    return found


async def prepare(settings: Settings, records: int, tail: int, days: float, *, read_model: bool) -> None:
    """Write the journal of all partitions, and the read model if it is to have it already."""
    client = connect(settings.broker_url, fsync=settings.fsync)
    await client.start()
    try:
        await topics.create(client, settings)
        count = settings.orders.partitions
        for partition in range(count):
            await build(client, partition, count, records // count, tail // count, days)
            sys.stderr.write(f"journal: {partition + 1} of {count} partitions are written\n")
        if read_model:
            history = History(settings.home / "state" / HISTORY_FILE, client, count)
            await history.catch_up()
            history.close()
    finally:
        await client.stop()


def measure(home: Path, broker: str, roles: str, records: int, tail: int, days: float) -> dict[str, Any]:
    """Return the figures of one run."""
    started = time.monotonic()
    asyncio.run(prepare(Settings(home=home, broker=broker), records, tail, days, read_model=roles != OWNER))
    if roles != OWNER:
        start_worker(home, broker, roles, is_kept)
    prepared_s = time.monotonic() - started
    ready_s, page = start_worker(home, broker, roles, lambda _: True)
    lanes = page["flows"]["orders"].values()
    recover_s = max(lane["recover_ms"] for lane in lanes) / 1e3
    fold_s = max(lane["fold_ms"] for lane in lanes) / 1e3
    bars = {"fold_s": FOLD_BAR_S, "ready_s": READY_BAR_S[broker.partition(":")[0]]}
    return {
        "bench": "recovery",
        "roles": roles,
        "records": records,
        "tail": tail,
        "days": days,
        "prepared_s": round(prepared_s, 1),
        "orders_in_state": sum(lane["orders"] for lane in lanes),
        "folded": sum(lane["folded"] for lane in lanes),
        "fold_s": round(fold_s, 2),
        "recover_s": round(recover_s, 2),
        "ready_s": round(ready_s, 2),
        "bars": bars,
        "passed": fold_s <= bars["fold_s"] and ready_s <= bars["ready_s"],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m streaming.bench.recovery", description=__doc__)
    parser.add_argument("--records", type=int, default=100_000, help="journal records in all partitions")
    parser.add_argument("--tail", type=int, default=20_000, help="records after the snapshots, in all partitions")
    parser.add_argument("--days", type=float, default=5.0, help="time that the journal spans")
    parser.add_argument("--roles", default=OWNER, choices=(OWNER, "all"), help="what the process runs")
    parser.add_argument("--broker", default="log://", help="log:// or kafka://HOST:PORT, an empty one")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    home = Path(tempfile.mkdtemp(prefix="recovery-"))
    try:
        found = measure(home, options.broker, options.roles, options.records, options.tail, options.days)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    sys.stdout.write(
        json.dumps(found) + "\n" if options.json else "".join(f"{key:>16}  {value}\n" for key, value in found.items())
    )
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
