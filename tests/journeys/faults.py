"""A simulated exchange that does everything wrong, and what has to become of it."""

from collections import Counter
from pathlib import Path

import numpy as np

from streaming.adapters.feed_sim import SECOND_NS, SimFeed
from streaming.adapters.feed_sim_faults import UNKNOWN_SYMBOL
from streaming.adapters.feed_sim_market import START_PRICES
from streaming.settings import FaultSettings, FeedSettings
from tests.journeys import evidence
from tests.streaming.worker_process import WorkerProcess
from trading.codec import MAX_MESSAGE_BYTES, CodecError
from trading.market.batches import TRADE, RawBatch

SHARES = dict.fromkeys(("gap", "resend", "wrong_schema", "oversize", "flip"), 0.02) | {
    name: 0.005
    for name in FaultSettings.model_fields
    if name not in ("gap", "resend", "wrong_schema", "oversize", "flip")
}
FEED = FeedSettings(rate=0, ticks=60_000, batch_rows=250, seed=11, faults=FaultSettings(**SHARES))
DAY_NS = 86_400 * SECOND_NS


async def expected_codes() -> Counter[str]:
    """Count what the feed does wrong, frame by frame, without the normaliser."""
    found: Counter[str] = Counter()
    last = -1
    async for payload in SimFeed(FEED).frames(0):
        if len(payload) > MAX_MESSAGE_BYTES:
            found["FRAME_TOO_LARGE"] += 1
            last += 1
            continue
        try:
            frame = RawBatch.decode(payload)
        except CodecError as error:
            found[error.code] += 1
            continue
        if frame.seq > last:
            last = frame.seq
            found += _row_codes(frame)
    return found


def _row_codes(frame: RawBatch) -> Counter[str]:
    symbols = np.array([*frame.symbol[0], ""])[frame.symbol[1]] if len(frame) else np.zeros(0, "U1")
    ahead_ns = frame.ts_ns - frame.clock_ns
    trade = frame.kind == TRADE
    start = np.array([START_PRICES.get(symbol, np.inf) for symbol in symbols])
    counts = {
        "UNKNOWN_SYMBOL": symbols == UNKNOWN_SYMBOL,
        "FROM_THE_FUTURE": ahead_ns > 60 * SECOND_NS,
        "FROM_THE_PAST": ahead_ns < -2 * DAY_NS,
        "NOT_A_NUMBER": trade & np.isnan(frame.price),
        "NEGATIVE_SIZE": trade & (frame.qty < 0),
        "PRICE_JUMP": trade & (frame.price > 50 * start),
    }
    return Counter({code: int(rows.sum()) for code, rows in counts.items()})


async def check_faults(home: Path, broker: str, url: str) -> None:
    """Run the exchange through a real process; every fault has its code, every count agrees, nothing is there twice."""
    env = {f"TRADE_FEED__FAULTS__{name.upper()}": str(share) for name, share in SHARES.items()}
    env |= {f"TRADE_FEED__{name.upper()}": str(getattr(FEED, name)) for name in ("rate", "ticks", "batch_rows", "seed")}
    with WorkerProcess(home, "--until-drained", env=env | {"TRADE_BROKER": broker}) as worker:
        code, errors = worker.end()
    assert code == 0, errors
    totals = evidence.reconcile(home)
    expected = await expected_codes()
    assert set(expected) == {
        *("FRAME_TOO_LARGE", "WRONG_SCHEMA", "CORRUPT", "UNKNOWN_SYMBOL", "FROM_THE_FUTURE"),
        *("FROM_THE_PAST", "NOT_A_NUMBER", "NEGATIVE_SIZE", "PRICE_JUMP"),
    }
    assert evidence.codes(await evidence.read_letters(url)) == expected, f"seed {FEED.seed}"
    assert totals["duplicates"] > 0
    assert totals["late"] > 0
    assert totals["revisions"] > 0
    assert evidence.duplicate_rows(home) == 0
