"""Durable, deduplicated commits to the lake, and whether they stay as fast: `trade bench sink`.

Run `python -m streaming.bench.sink [--json] [--commits N] [--rows N] [--peer-commits N]`. Each round commits the same
`ticks` messages twice in turn: by the code of the sinks, and by a plain deltalake append, which neither syncs nor
deduplicates (the peer). The peer gets slower with every commit, so it takes part only in the first rounds. Row count,
offsets and a repeated commit are checked at the end. The bar is on ours: the median of the last ten commits against the
first ten.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import deltalake
import numpy as np
import pyarrow as pa

from streaming.adapters.lake import Lake, SourceRange, arrow_schema
from streaming.sink_rows import TICK_FORM
from streaming.transport.client import Record
from trading.instruments import CATALOGUE
from trading.market.batches import ABSENT, MAX_ROWS, TickBatch
from trading.messages import Source
from trading.schemas import TICKS, TICKS_V1

BAR_RATIO = 1.5
EDGE = 10
PEER_COMMITS = 200
TOLD_EACH = 100
SYMBOLS = ("BTC-USD.SIM", "ETH-USD.SIM", "SOL-USD.SIM", "XRP-USD.SIM", "ADA-USD.SIM", "DOGE-USD.SIM")
START_NS = 1_772_409_600_000_000_000
SESSION = START_NS // 86_400_000_000_000


def message(offset: int, rows: int, chance: np.random.Generator) -> bytes:
    """Return a `ticks` message of trades."""
    numbers = offset * MAX_ROWS + np.arange(rows)
    absent = np.full(rows, ABSENT)
    return TickBatch(
        kind=np.zeros(rows, np.uint8),
        instrument=(SYMBOLS, chance.integers(0, len(SYMBOLS), rows).astype(np.int16)),
        session=np.full(rows, SESSION, np.int32),
        ts_ns=START_NS + numbers * 10_000,
        trade_id=numbers,
        price=chance.integers(1_000_000, 1_100_000, rows),
        qty=chance.integers(1, 1_000_000, rows),
        bid=absent,
        bid_qty=absent,
        ask=absent,
        ask_qty=absent,
        exchange=(["SIM"], np.zeros(rows, np.int16)),
        condition=([""], np.zeros(rows, np.int16)),
        flags=np.zeros(rows, np.uint16),
        src_row=np.arange(rows, dtype=np.int32),
        src=Source(0, offset),
        feed="bench",
        clock_ns=START_NS,
        recv_ns=START_NS,
    ).encode()


def take(payloads: Sequence[bytes], first: int) -> tuple[pa.Table, SourceRange]:
    """Return the rows of messages as a sink collects them, and the offsets that they cover."""
    records = [Record(TICKS.name, 0, first + place, None, payload) for place, payload in enumerate(payloads)]
    table = TICK_FORM.table([TICK_FORM.read(record, CATALOGUE).part for record in records])
    last = records[-1].offset
    return table, SourceRange(topic=TICKS.name, partition=0, first=first, last=last, rows=len(table), raw={0: last})


def run(folder: Path, commits: int, rows: int, peer_commits: int) -> dict[str, Any]:
    """Return the milliseconds of each commit of both, the state checked."""
    chance = np.random.default_rng(7)
    lake = Lake(folder / "ours")
    lake.ensure(TICKS_V1)
    peer = deltalake.DeltaTable.create(folder / "peer", schema=arrow_schema(TICKS_V1), partition_by=["date"])
    sizes = [min(MAX_ROWS, rows - start) for start in range(0, rows, MAX_ROWS)]
    ours_ms, peer_ms = [], []
    for number in range(commits):
        first = number * len(sizes)
        payloads = [message(first + place, size, chance) for place, size in enumerate(sizes)]
        started = time.perf_counter()
        table, source = take(payloads, first)
        lake.append(TICKS_V1, table, [source])
        ours_ms.append((time.perf_counter() - started) * 1e3)
        if number < peer_commits:
            started = time.perf_counter()
            deltalake.write_deltalake(peer, take(payloads, first)[0], mode="append")
            peer_ms.append((time.perf_counter() - started) * 1e3)
        if (number + 1) % TOLD_EACH == 0:
            told = f"ours {ours_ms[-1]:.1f} ms, peer {peer_ms[-1]:.1f} ms"
            sys.stderr.write(f"{number + 1} of {commits} commits: {told}\n")
    repeated = lake.append(TICKS_V1, table, [source])
    fresh = Lake(folder / "ours")
    is_right = (
        not repeated.written
        and peer.count() == len(peer_ms) * rows
        and fresh.rows(TICKS_V1) == commits * rows == fresh.read(TICKS_V1).num_rows
    )
    return {
        **_figures("ours", ours_ms, rows),
        **_figures("peer", peer_ms, rows),
        "peer_commits": len(peer_ms),
        "state_checked": is_right and not fresh.range_faults(TICKS_V1),
    }


def _figures(name: str, taken_ms: Sequence[float], rows: int) -> dict[str, float]:
    first, last = statistics.median(taken_ms[:EDGE]), statistics.median(taken_ms[-EDGE:])
    return {
        f"{name}_first_ten_ms": round(first, 2),
        f"{name}_last_ten_ms": round(last, 2),
        f"{name}_last_to_first": round(last / first, 2),
        f"{name}_p50_ms": round(statistics.median(taken_ms), 2),
        f"{name}_p99_ms": round(float(np.percentile(taken_ms, 99)), 2),
        f"{name}_rows_per_s": round(rows * len(taken_ms) / (sum(taken_ms) / 1e3)),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit 1 above the bar, or when the state is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--commits", type=int, default=1_000)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--peer-commits", type=int, default=PEER_COMMITS)
    parser.add_argument("--folder", type=Path, help="a folder on the disk to be measured")
    chosen = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="bench-sink-", dir=chosen.folder))
    try:
        result: dict[str, Any] = {"commits": chosen.commits, "rows_per_commit": chosen.rows, "bar_ratio": BAR_RATIO}
        commits, peer_commits = max(chosen.commits, 2 * EDGE), max(chosen.peer_commits, EDGE)
        result |= run(folder, commits, max(chosen.rows, 1), peer_commits)
    finally:
        shutil.rmtree(folder)
    result["passed"] = result["state_checked"] and result["ours_last_to_first"] <= BAR_RATIO
    if chosen.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:25} {value}")
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
