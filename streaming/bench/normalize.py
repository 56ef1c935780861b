"""The normaliser in one process: from frame bytes to message bytes, in batches of 1,000 ticks.

Run `python -m streaming.bench.normalize [--json] [--ticks N]`. Each round starts with a fresh normaliser; the figures
are medians. The counts of every round must reconcile.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from trading.instruments import CATALOGUE
from trading.market.batches import ABSENT, MAX_ROWS, QUOTE, TRADE, RawBatch
from trading.market.normalize import Normalizer
from trading.market.policy import MarketPolicy
from trading.messages import Source

SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "ADA-USD", "DOGE-USD", "BCH-USD", "TRX-USD")
START_NS = 1_772_409_600_000_000_000
ROUNDS = 5
SHARDS = 2
TICKS_PER_S = 100_000
BAR_TICKS_PER_S = 1_000_000


def frames(ticks: int, quotes: float, seed: int = 7) -> list[bytes]:
    """Return encoded frames of 1,000 ticks each over eight symbols; `quotes` is the share of quotes among them."""
    chance = np.random.default_rng(seed)
    made = []
    for seq in range(ticks // MAX_ROWS):
        count = MAX_ROWS
        numbers = np.arange(seq * count, (seq + 1) * count)
        kind = np.where(chance.random(count) < quotes, QUOTE, TRADE).astype(np.uint8)
        symbol = chance.integers(0, len(SYMBOLS), count).astype(np.int16)
        price = np.round((10.0 + 7.0 * symbol) * (1.0 + 0.001 * chance.standard_normal(count)), 2)
        trades, nothing = kind == TRADE, np.full(count, np.nan)
        ts = START_NS + numbers * (1_000_000_000 // TICKS_PER_S)
        size = np.round(chance.random(count) + 0.01, 4)
        made.append(
            RawBatch(
                kind=kind,
                symbol=(SYMBOLS, symbol),
                ts_ns=ts,
                trade_id=np.where(trades, numbers, ABSENT),
                price=np.where(trades, price, nothing),
                qty=np.where(trades, size, nothing),
                bid=np.where(trades, nothing, price - 0.01),
                bid_qty=np.where(trades, nothing, size),
                ask=np.where(trades, nothing, price + 0.01),
                ask_qty=np.where(trades, nothing, size),
                exchange=(["SIM"], np.zeros(count, np.int16)),
                condition=([""], np.zeros(count, np.int16)),
                suspicious=np.zeros(count, np.uint8),
                feed="bench",
                venue="SIM",
                seq=seq,
                clock_ns=int(ts[-1]),
                recv_ns=int(ts[-1]),
            ).encode()
        )
    return made


def seconds(payloads: Sequence[bytes], *, encode: bool) -> float:
    """Return the time of one pass over the frames; raise when the counts do not reconcile."""
    normalizer = Normalizer(CATALOGUE, MarketPolicy(), SHARDS)
    begin = time.perf_counter()
    for offset, payload in enumerate(payloads):
        out = normalizer.apply(payload, Source(0, offset))
        if encode:
            for ticks in out.ticks.values():
                ticks.encode()
            for bars in out.bars.values():
                bars.encode()
    taken = time.perf_counter() - begin
    totals = normalizer.totals
    if totals.ticks_out != len(payloads) * MAX_ROWS:
        raise SystemExit(f"not every tick came out: {totals}")
    return taken


def measure(ticks: int) -> dict[str, Any]:
    """Return the figures in ticks/s."""
    result: dict[str, Any] = {"ticks": ticks, "symbols": len(SYMBOLS), "bar_ticks_per_s": BAR_TICKS_PER_S}
    for name, quotes in (("trades", 0.0), ("mixed", 0.5)):
        payloads = frames(ticks, quotes)
        rounds = [(seconds(payloads, encode=False), seconds(payloads, encode=True)) for _ in range(ROUNDS)]
        for column, key in enumerate(("normalise", "normalise_and_encode")):
            taken = statistics.median(round_[column] for round_ in rounds)
            result[f"{name}_{key}_ticks_per_s"] = round(len(payloads) * MAX_ROWS / taken)
    result["passed"] = result["trades_normalise_and_encode_ticks_per_s"] >= BAR_TICKS_PER_S
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit 1 below the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--ticks", type=int, default=300_000)
    chosen = parser.parse_args(arguments)
    result = measure(max(chosen.ticks, MAX_ROWS))
    if chosen.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:45} {value}")
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
