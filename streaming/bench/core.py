"""The trading core in process: submit -> risk -> rest -> cancel, one order a quote, with every rule on.

Run `python -m streaming.bench.core [--json] [--orders N] [--journal] [--peer CMD]`. Each order is four commands with
their events (submit, acknowledgement, cancel, cancelled), made and applied one by one. `--journal` seals each record
too. `--peer` runs another program in turns with ours, given the number `--peer-orders`, and reads `orders_per_s` from
its last JSON line; the ratio is ours over the peer's, medians of the rounds. The peer gets slower with every order, so
it is asked for fewer, which is in its favour. The state is checked at the end: nothing open, nothing held. The bars:
ten times the peer, and the last 10,000 orders no slower than the first. With nautilus_trader, which uv installs for it:

    trade bench core --peer ".tools/bin/uv run -q deploy/peers/orders_nautilus.py"
"""

import argparse
import gc
import json
import platform
import resource
import shlex
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np

from trading import commands as c
from trading.instruments import Instrument, InstrumentTable
from trading.orders.evolve import evolve
from trading.orders.journal import append
from trading.orders.oms import decide
from trading.orders.state import State
from trading.risk.market import MarketView, Quote
from trading.risk.var import build_model

START_NS = 1_704_067_200_000_000_000
STEP_NS = 1_000_000
INSTRUMENTS = 20
ORDERS = 100_000
EDGE = 10_000
ROUNDS = 3
PEER_ORDERS = 10_000
SNAPSHOT_EACH = 500
PEER_TIMEOUT_S = 600
PEER_RATIO = 10.0
FLAT = 1.1


def limits() -> c.LimitsBody:
    """Return limits with every rule on that the load stays within."""
    return c.LimitsBody(
        max_order_qty="1000",
        max_order_value="1000000",
        max_position_qty="100000",
        max_var="10000000",
        collar_bps=1_000,
        concentration_bps=2_500,
        margin_bps=5_000,
        max_open_orders=1_000,
        message_rate=1_000_000,
        message_burst=1_000_000,
        repeat_count=1_000,
        repeat_window_ms=100,
        price_max_age_ms=5_000,
        valuation_max_age_ms=86_400_000,
        ack_timeout_ms=30_000,
        order_timeout_ms=0,
        short_allowed=True,
    )


def instruments() -> InstrumentTable:
    """Return the instruments of the load."""
    return InstrumentTable(
        Instrument(symbol=f"S{n:02d}", venue="SIM", price_scale=2, calendar="24/7") for n in range(INSTRUMENTS)
    )


def market(ts_ns: int) -> MarketView:
    """Return a market of 20 instruments at 100 with 250 days of returns."""
    table = instruments()
    rng = np.random.default_rng(7)
    returns = rng.normal(0, 0.01, (250, 1)) + rng.normal(0, 0.01, (250, len(table)))
    model = build_model(1, [instrument.id for instrument in table], returns)
    quotes = {instrument.id: Quote(10_000, ts_ns, 9_999, 10_001) for instrument in table}
    return MarketView(table, quotes, model, {}, 1)


def desk(accounts: int, view: MarketView) -> State:
    """Return a state with funded accounts under the limits."""
    state = State()
    for n in range(accounts):
        name = f"a{n}"
        for command in (
            c.OpenAccount(account=name, ts_ns=START_NS, actor="bench"),
            c.Deposit(account=name, ts_ns=START_NS, actor="bench", ref="first", amount="10000000"),
            c.SetLimits(account=name, ts_ns=START_NS, actor="bench", limits=limits()),
        ):
            for event in decide(state, command, view):
                evolve(state, event)
    return state


def run(orders: int, *, journal: bool) -> dict[str, Any]:
    """Return the figures of one run; raises if the final state is wrong."""
    view = market(START_NS)
    state = desk(1, view)
    name = "S00.SIM"

    def apply(command: c.AnyCommand) -> str:
        events = decide(state, command, view)
        if journal:
            append(state, "a0", "bench", command.ts_ns, events)
        else:
            for event in events:
                evolve(state, event)
        return str(getattr(events[0], "order", ""))

    gc.collect()
    gc.freeze()
    # What the order worker sets: most objects of the core need no collector.
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    clock, spent = time.perf_counter_ns, np.empty(orders, np.int64)
    cpu = time.process_time()
    ts_ns = START_NS
    for n in range(orders):
        ts_ns += STEP_NS
        started = clock()
        view = view.with_quotes({name: Quote(10_000 + n % 7, ts_ns, 9_999, 10_001)})
        order = apply(
            c.SubmitOrder(
                account="a0",
                ts_ns=ts_ns,
                client_order_id=f"c{n}",
                instrument=name,
                side="buy",
                qty="1",
                type="limit",
                tif="gtc",
                limit_price="50.00",
            )
        )
        apply(c.VenueAccepted(account="a0", ts_ns=ts_ns, order=order, venue="SIM", venue_order_id="v"))
        apply(c.CancelOrder(account="a0", ts_ns=ts_ns, order=order))
        apply(c.VenueCanceled(account="a0", ts_ns=ts_ns, order=order, venue="SIM"))
        spent[n] = clock() - started
        if n % SNAPSHOT_EACH == 0:
            # The owner's snapshot takes what has changed.
            state.dirty.clear()
    cpu_s = time.process_time() - cpu
    gc.set_threshold(*before)
    gc.unfreeze()
    _check(state, orders)
    return _figures(spent, cpu_s, journal=journal)


def _check(state: State, orders: int) -> None:
    exposure = state.accounts["a0"].exposure
    holding = exposure.holdings["S00.SIM"]
    ended = sum(row.status == "canceled" for row in state.orders.values())
    if ended != orders or exposure.open_orders or holding.buy_open or holding.buy_raw:
        raise RuntimeError(f"wrong final state: {ended} of {orders} cancelled, {holding.buy_open} still held")


def _figures(spent: Any, cpu_s: float, *, journal: bool) -> dict[str, Any]:
    orders = len(spent)
    edge = min(EDGE, orders // 2)
    return {
        "bench": "core",
        "orders": orders,
        "journal": journal,
        "orders_per_s": orders / (spent.sum() / 1e9),
        "cpu_us_per_order": cpu_s / orders * 1e6,
        "p50_us": float(np.percentile(spent, 50)) / 1e3,
        "p99_us": float(np.percentile(spent, 99)) / 1e3,
        "last_to_first": float(np.median(spent[-edge:]) / np.median(spent[:edge])),
        "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "python": platform.python_version(),
        "machine": platform.processor() or platform.machine(),
    }


def peer(command: str) -> dict[str, Any]:
    """Run another program and return its last JSON line."""
    done = subprocess.run(shlex.split(command), capture_output=True, text=True, check=True, timeout=PEER_TIMEOUT_S)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark and print its figures; exit 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=ORDERS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--journal", action="store_true")
    parser.add_argument("--peer", help="a command line whose last line is JSON with orders_per_s")
    parser.add_argument("--peer-orders", type=int, default=PEER_ORDERS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    rounds, peers = [], []
    for _ in range(options.rounds):
        rounds.append(run(options.orders, journal=options.journal))
        if options.peer:
            peers.append(peer(f"{options.peer} {min(options.orders, options.peer_orders)}"))
        sys.stderr.write(f"round {len(rounds)} of {options.rounds}: {rounds[-1]['orders_per_s']:.0f} orders/s\n")
    figures = sorted(rounds, key=lambda figure: figure["orders_per_s"])[len(rounds) // 2]
    if peers:
        theirs = statistics.median(float(found["orders_per_s"]) for found in peers)
        figures |= {"peer": peers[0].get("peer", options.peer), "peer_orders_per_s": theirs}
        figures["ratio"] = figures["orders_per_s"] / theirs
    flat = statistics.median(figure["last_to_first"] for figure in rounds)
    figures["passed"] = bool(flat <= FLAT and figures.get("ratio", PEER_RATIO) >= PEER_RATIO)
    print(json.dumps(figures) if options.json else "\n".join(f"{key:18s} {value}" for key, value in figures.items()))
    return 0 if figures["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
