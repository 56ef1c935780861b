"""The risk gate in process, every rule on: accounts that hold positions and open orders, prices that move.

Run `python -m streaming.bench.risk [--json] [--checks N] [--peer CMD]`. Each check follows a change of one price, so
positions, margin and VaR are brought up to date inside the time that is measured. All orders pass, or the run fails.
`--peer` runs another program in turns and reads `us_per_check` from its last JSON line (a floor, for example). The bars
are those of the best round, because a busy machine only adds: P50 20 us, P99 100 us, 50,000 checks a second.
"""

import argparse
import gc
import json
import platform
import statistics
import sys
import time
from typing import Any

import numpy as np

from streaming.bench.core import INSTRUMENTS, START_NS, STEP_NS, desk, market, peer
from trading import commands as c
from trading.orders.evolve import evolve
from trading.orders.oms import decide
from trading.orders.state import State
from trading.risk import gate
from trading.risk.context import Draft
from trading.risk.market import MarketView, Quote

CHECKS = 100_000
ACCOUNTS = 64
HELD = 10
ROUNDS = 3
P50_US, P99_US, CHECKS_PER_S = 20.0, 100.0, 50_000


def filled_desk(view: MarketView) -> State:
    """Return accounts that each hold ten instruments, long and short, with an open order in each."""
    state = desk(ACCOUNTS, view)
    for n in range(ACCOUNTS):
        for k in range(HELD):
            name, side = f"S{(n + k) % INSTRUMENTS:02d}.SIM", "buy" if k % 2 else "sell"
            for cid in (f"p{k}", f"o{k}"):
                submit = c.SubmitOrder(
                    account=f"a{n}",
                    ts_ns=START_NS,
                    client_order_id=cid,
                    instrument=name,
                    side="buy" if side == "buy" else "sell",
                    qty=str(50 + k),
                    type="limit",
                    tif="gtc",
                    limit_price="95" if side == "buy" else "105",
                )
                (accepted,) = decide(state, submit, view)
                evolve(state, accepted)
                if cid.startswith("p"):
                    fill = c.VenueFill(
                        account=f"a{n}",
                        ts_ns=START_NS,
                        order=str(getattr(accepted, "order", "")),
                        venue="SIM",
                        trade_id=cid,
                        instrument=name,
                        side=submit.side,
                        qty=submit.qty,
                        price="100",
                    )
                    for event in decide(state, fill, view):
                        evolve(state, event)
    return state


def run(checks: int) -> dict[str, Any]:
    """Return the figures of one run; raises if an order was refused."""
    view = market(START_NS)
    state = filled_desk(view)
    spent = np.empty(checks, np.int64)
    refused, ts_ns = 0, START_NS
    gc.collect()
    gc.freeze()
    clock = time.perf_counter_ns
    for n in range(checks):
        ts_ns += STEP_NS
        moved = f"S{n % INSTRUMENTS:02d}.SIM"
        view = view.with_quotes({moved: Quote(10_000 + n % 11, ts_ns, 9_999, 10_001)})
        name = f"S{(n * 7) % INSTRUMENTS:02d}.SIM"
        account = state.accounts[f"a{n % ACCOUNTS}"]
        side = 1 if n % 2 else -1
        draft = Draft(
            account.id, name, side, 1 + n % 50, "limit", "gtc", ts_ns, 9_600 if side > 0 else 10_400, None, "s"
        )
        started = clock()
        verdict = gate.check(draft, account.exposure, account.limits, state.controls, view)
        spent[n] = clock() - started
        refused += not isinstance(verdict, gate.Approved)
    gc.unfreeze()
    if refused:
        raise RuntimeError(f"{refused} of {checks} checks were refused")
    return {
        "bench": "risk",
        "checks": checks,
        "accounts": ACCOUNTS,
        "held": HELD,
        "checks_per_s": checks / (spent.sum() / 1e9),
        "us_per_check": spent.mean() / 1e3,
        "p50_us": float(np.percentile(spent, 50)) / 1e3,
        "p99_us": float(np.percentile(spent, 99)) / 1e3,
        "p999_us": float(np.percentile(spent, 99.9)) / 1e3,
        "python": platform.python_version(),
        "machine": platform.processor() or platform.machine(),
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark and print its figures; exit 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checks", type=int, default=CHECKS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--peer", help="a command line whose last line is JSON with us_per_check")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    rounds, peers = [], []
    for _ in range(options.rounds):
        rounds.append(run(options.checks))
        if options.peer:
            peers.append(peer(options.peer))
    rounds.sort(key=lambda figure: float(figure["us_per_check"]))
    best, figures = rounds[0], rounds[len(rounds) // 2]
    within = best["p50_us"] <= P50_US and best["p99_us"] <= P99_US
    figures["passed"] = bool(within and best["checks_per_s"] >= CHECKS_PER_S)
    if peers:
        theirs = statistics.median(float(found["us_per_check"]) for found in peers)
        figures |= {"peer": peers[0].get("peer", options.peer), "peer_us_per_check": theirs}
        figures["times_the_peer"] = figures["us_per_check"] / theirs
    print(json.dumps(figures) if options.json else "\n".join(f"{key:18s} {value}" for key, value in figures.items()))
    return 0 if figures["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
