"""The event-driven backtest: SMA 10/30 over one-minute bars, every order through the gate, the book and the venue.

Run `python -m streaming.bench.backtest [--json] [--bars N] [--fills NAME] [--journal] [--peer CMD]`. Timed is the whole
run from columns of bars to the metrics. `--peer` runs another program in turns with ours, given the number of bars and
the convention, and reads `bars_per_s`, `fills` and `final_equity` from its last JSON line: the ratio is ours over the
peer's, medians of the rounds, and a difference in fills or of a cent in equity fails. With backtesting.py, which uv
installs for it:

    trade bench backtest --peer ".tools/bin/uv run -q deploy/peers/sma_backtesting.py"
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
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from trading.backtest import conventions
from trading.backtest.engine import run_bars
from trading.backtest.result import CASH_UNITS, Result
from trading.backtest.series import BarSeries
from trading.backtest.terms import Terms
from trading.instruments import Instrument
from trading.routing.models import Models, PpmFee
from trading.strategies.sma import SmaCross, SmaParameters

# Whole micro-units, so that every engine sees the same decimals.
INSTRUMENT = Instrument(symbol="SYN", venue="SIM", price_scale=6)
START_NS = 1_704_067_200_000_000_000
MINUTE_NS = 60_000_000_000
BARS = 100_000
ROUNDS = 3
QTY = "10"
FEE_PPM = 1_000
PEER_TIMEOUT_S = 600
CENT = 0.01


def make_bars(count: int, seed: int = 7) -> BarSeries:
    """Return a random walk from 100 in one-minute bars whose open gaps a little from the last close."""
    chance = np.random.default_rng(seed)
    scale = 10**INSTRUMENT.price_scale
    moves = chance.normal(0.0, 0.0004, count)
    wicks = np.abs(chance.normal(0.0, 0.0002, (2, count)))
    close = np.rint(100.0 * np.exp(np.cumsum(moves)) * scale).astype(np.int64)
    opens = np.empty_like(close)
    opens[0] = 100 * scale
    opens[1:] = np.rint(close[:-1] * (1.0 + chance.normal(0.0, 0.00005, count - 1))).astype(np.int64)
    ts = START_NS + MINUTE_NS * np.arange(1, count + 1, dtype=np.int64)
    return BarSeries(
        instrument=INSTRUMENT.id,
        start_ns=ts - MINUTE_NS,
        ts_ns=ts,
        open=opens,
        high=np.rint(np.maximum(opens, close) * (1.0 + wicks[0])).astype(np.int64),
        low=np.rint(np.minimum(opens, close) * (1.0 - wicks[1])).astype(np.int64),
        close=close,
        volume=chance.integers(1_000, 100_000, count),
    )


def run(series: BarSeries, fills: conventions.Name, *, journal: bool = False) -> Result:
    """Return the result of the load."""
    strategy = SmaCross(SmaParameters(instrument=INSTRUMENT.id, qty=QTY))
    terms = Terms(convention=conventions.convention(fills), models=Models(fees=PpmFee(FEE_PPM, FEE_PPM)))
    sealed: list[int] = []
    sink = (lambda record: sealed.append(len(record))) if journal else None
    return run_bars(strategy, "sma", series, INSTRUMENT, terms, sink)


def peer(command: str) -> dict[str, Any]:
    """Run another program and return its last JSON line."""
    done = subprocess.run(shlex.split(command), capture_output=True, text=True, check=True, timeout=PEER_TIMEOUT_S)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def measure(
    bars: int, fills: conventions.Name, rounds: int = ROUNDS, command: str = "", *, journal: bool = False
) -> dict[str, Any]:
    """Return the figures of one load, and of the peer beside them."""
    series = make_bars(bars)
    taken, cpu, peers = [], [], []
    # What the order worker sets: most objects of the core need no collector.
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    for _ in range(rounds):
        gc.collect()
        begun, begun_cpu = time.perf_counter(), time.process_time()
        result = run(series, fills, journal=journal)
        taken.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - begun_cpu)
        if command:
            peers.append(peer(f"{command} {bars} {fills}"))
    gc.set_threshold(*before)
    run_s = statistics.median(taken)
    figures: dict[str, Any] = {
        "bench": "backtest",
        "convention": fills,
        "bars": bars,
        "journal": journal,
        "run_s": round(run_s, 4),
        "cpu_s": round(statistics.median(cpu), 4),
        "bars_per_s": round(bars / run_s),
        "fills": len(result.fills),
        "final_equity": round(result.final_equity / CASH_UNITS, 4),
        "refusals": len(result.refusals),
        "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "python": platform.python_version(),
        "passed": not result.refusals,
    }
    return figures | _beside(figures, peers) if peers else figures


def _beside(figures: dict[str, Any], peers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    theirs = statistics.median(float(found["bars_per_s"]) for found in peers)
    fills, equity = int(peers[0]["fills"]), float(peers[0]["final_equity"])
    equal = fills == figures["fills"] and abs(equity - figures["final_equity"]) < CENT
    ratio = figures["bars_per_s"] / theirs
    return {
        "peer": peers[0].get("peer", ""),
        "peer_bars_per_s": round(theirs),
        "peer_fills": fills,
        "peer_final_equity": equity,
        "equal": equal,
        "ratio": round(ratio, 2),
        "cpu_ratio": _cpu_ratio(figures, peers),
        "bar_ratio": 1.0,
        "passed": figures["passed"] and equal and ratio >= 1.0,
    }


def _cpu_ratio(figures: dict[str, Any], peers: Sequence[dict[str, Any]]) -> float | None:
    """Return the peer's CPU time over ours, None if it does not tell: steadier than time on a busy machine."""
    spent = [float(found["cpu_s"]) for found in peers if found.get("cpu_s")]
    return round(statistics.median(spent) / figures["cpu_s"], 2) if spent and figures["cpu_s"] else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit 1 if it differs from the peer or is below the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=int, default=BARS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--fills", choices=get_args(conventions.Name), default="next-open")
    parser.add_argument("--journal", action="store_true", help="seal a record for each command too")
    parser.add_argument("--peer", default="", help="a command line whose last line is JSON")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    figures = measure(chosen.bars, chosen.fills, max(1, chosen.rounds), chosen.peer, journal=chosen.journal)
    print(json.dumps(figures) if chosen.json else "\n".join(f"{key:18} {value}" for key, value in figures.items()))
    return 0 if figures["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
