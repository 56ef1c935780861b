"""Bad input of every kind ends in the dead letters with its code; the process lives and every count agrees."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from streaming.adapters.feed_sim import SECOND_NS, SimFeed
from streaming.adapters.feed_sim_faults import UNKNOWN_SYMBOL
from streaming.adapters.feed_sim_market import START_PRICES
from streaming.settings import FaultSettings, FeedSettings
from tests.journeys import evidence
from tests.streaming.worker_process import WorkerProcess
from trading.codec import MAX_MESSAGE_BYTES, CodecError
from trading.market.batches import TRADE, RawBatch

TRADES = "us_equity_trades_20131007.parquet"
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


async def test_every_fault_of_an_exchange_has_its_code(tmp_path: Path) -> None:
    home = tmp_path / "home"
    env = {f"TRADE_FEED__FAULTS__{name.upper()}": str(share) for name, share in SHARES.items()}
    env |= {f"TRADE_FEED__{name.upper()}": str(getattr(FEED, name)) for name in ("rate", "ticks", "batch_rows", "seed")}
    with WorkerProcess(home, "--until-drained", env=env) as worker:
        code, errors = worker.end()
    assert code == 0, errors
    totals = evidence.reconcile(home)
    expected = await expected_codes()
    assert set(expected) == {
        *("FRAME_TOO_LARGE", "WRONG_SCHEMA", "CORRUPT", "UNKNOWN_SYMBOL", "FROM_THE_FUTURE"),
        *("FROM_THE_PAST", "NOT_A_NUMBER", "NEGATIVE_SIZE", "PRICE_JUMP"),
    }
    found = Counter(
        reject.code for letter in await evidence.read_letters(f"log://{home}/log") for reject in letter.rejects
    )
    assert found == expected, f"seed {FEED.seed}"
    assert totals["duplicates"] > 0
    assert totals["late"] > 0
    assert totals["revisions"] > 0
    assert evidence.duplicate_rows(home) == 0


def test_rows_of_a_csv_file_that_cannot_be_read(tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    file = tmp_path / "trades.csv"
    pyarrow.csv.write_csv(pq.read_table(shared_data(TRADES)).slice(0, 3_000), file)
    lines = file.read_text().splitlines()
    lines[100] = lines[100].replace("2013", "20x3", 1)
    lines[200] += ",one,two"
    lines[300] = "half a li"
    lines[400] = lines[400].replace('"SPY",', '"SPY",n/a')
    file.write_text("\n".join(lines) + "\n")
    home = tmp_path / "home"
    with WorkerProcess(home, "--until-drained", "--feed", f"replay:{file}") as worker:
        code, errors = worker.end()
    assert code == 0, errors
    found = evidence.codes(evidence.letters(f"log://{home}/log"))
    assert found == {"ROW_UNPARSEABLE": 4}
    assert evidence.reconcile(home)["ticks_in"] == 3_000 - 4
    assert evidence.final_status(home)["feed"]["unreadable_rows"] == 4


def _half(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes()[: source.stat().st_size // 2])


def _without_price(source: Path, target: Path) -> None:
    pq.write_table(pq.read_table(source).drop_columns(["price"]), target)


@pytest.mark.parametrize(
    ("spoil", "expected"), [(_half, "FEED_FILE_UNREADABLE"), (_without_price, "FEED_COLUMN_MISSING")]
)
def test_a_file_that_cannot_be_read_ends_the_feed_and_keeps_what_is_in(
    spoil: Callable[[Path, Path], None], expected: str, tmp_path: Path, shared_data: Callable[[str], Path]
) -> None:
    home = tmp_path / "home"
    good = evidence.cut(shared_data(TRADES), tmp_path / "good.parquet", 0, 3_000)
    with WorkerProcess(home, "--until-drained", "--feed", f"replay:{good}") as worker:
        assert worker.end()[0] == 0
    spoil(good, tmp_path / "bad.parquet")
    with WorkerProcess(home, "--until-drained", "--feed", f"replay:{tmp_path / 'bad.parquet'}") as worker:
        code, _ = worker.end()
    page = evidence.final_status(home)
    assert code == 1
    assert page["state"] == "failed"
    assert page["error"]["code"] == expected
    assert "bad.parquet" in page["error"]["message"]
    assert evidence.codes(evidence.letters(f"log://{home}/log")) == {expected: 1}
    assert len(evidence.ticks(home)) == 3_000
