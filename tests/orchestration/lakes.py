"""Small lakes for tests: one session of trades and quotes, and its bars computed by the slow, obvious way."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from streaming.adapters.lake import Lake, SourceRange, arrow_schema
from trading.schemas import BARS_V1, FRAMES_V1, TICKS_V1, Table

DAY = date(2024, 3, 5)
OPEN = datetime.combine(DAY, time(14, 30), UTC)
INSTRUMENTS = ("BTC-USD.SIM", "ETH-USD.SIM")
MINUTES = 20
SECONDS = {"1m": 60, "5m": 300, "15m": 900, "1h": 3_600, "1d": 86_400}
Row = dict[str, Any]


def ticks(day: date = DAY, minutes: int = MINUTES) -> list[Row]:
    """Return one trade each 7 s and one quote each 20 s of every instrument, ten to a raw message."""
    start = OPEN + (day - DAY)
    rows: list[Row] = []
    for second in range(minutes * 60):
        for index, instrument in enumerate(INSTRUMENTS):
            ts = start + timedelta(seconds=second)
            if second % 7 == index:
                price = 100.0 * (index + 1) + (second * 37 % 101) / 100
                rows.append(_tick(day, ts, instrument, "trade", trade_id=second, price=price, qty=1.0 + second % 5))
            if second % 20 == 0:
                rows.append(_tick(day, ts, instrument, "quote", bid=99.0, bid_qty=1.0, ask=101.0, ask_qty=2.0))
    for number, row in enumerate(rows):
        row |= {"src_partition": 0, "src_offset": number // 10, "src_row": number % 10}
    return rows


def _tick(day: date, ts: datetime, instrument: str, kind: str, **values: Any) -> Row:
    absent = dict.fromkeys(("trade_id", "price", "qty", "bid", "bid_qty", "ask", "ask_qty"))
    row = {"date": day, "ts": ts, "instrument": instrument, "kind": kind, **absent, **values}
    return row | {"exchange": "SIM", "condition": "", "flags": 0, "recv_ts": ts}


def bars(rows: Iterable[Row]) -> list[Row]:
    """Return the bars of the trades, one trade at a time, by (ts, trade id); the end of the feed closes all."""
    trades = sorted((row for row in rows if row["kind"] == "trade"), key=lambda row: (row["ts"], row["trade_id"]))
    found: dict[tuple[str, str, datetime], Row] = {}
    for trade in trades:
        for name, seconds in SECONDS.items():
            start = datetime.fromtimestamp(trade["ts"].timestamp() // seconds * seconds, UTC)
            price = trade["price"]
            bar = found.setdefault(
                (trade["instrument"], name, start),
                {"open": price, "high": price, "low": price, "volume": 0.0, "trades": 0},
            )
            bar["high"], bar["low"] = max(bar["high"], price), min(bar["low"], price)
            bar |= {"close": price, "volume": bar["volume"] + trade["qty"], "trades": bar["trades"] + 1}
            bar |= {"date": trade["date"], "src_offset": trade["src_offset"] + 1}
    made = [
        {"instrument": instrument, "interval": name, "ts": start, "flags": 0, "revision": 0, "src_partition": 0} | bar
        for (instrument, name, start), bar in found.items()
    ]
    return [bar | {"src_row": number} for number, bar in enumerate(made)]


def table_of(table: Table, rows: Sequence[Row]) -> pa.Table:
    """Return rows as the table's Arrow table."""
    return pa.Table.from_pylist(list(rows), schema=arrow_schema(table))


def append(lake: Lake, table: Table, topic: str, rows: Sequence[Row], commits: int = 3, first: int = 0) -> None:
    """Append the rows in some commits, each of which takes one message of the topic for each ten rows."""
    size = -(-len(rows) // commits)
    offset = first
    for begin in range(0, len(rows), size):
        part = rows[begin : begin + size]
        messages = -(-len(part) // 10)
        taken = SourceRange(topic=topic, partition=0, first=offset, last=offset + messages - 1, rows=len(part))
        lake.append(table, table_of(table, part), [taken])
        offset += messages


def fill(home: Path, days: Sequence[date] = (DAY,)) -> Lake:
    """Write sessions of ticks, bars and frames under `home`; return the lake."""
    lake = Lake(home / "lake")
    tick_rows, bar_rows, frames = [], [], []
    for number, day in enumerate(days):
        made = [row | {"src_offset": row["src_offset"] + number * 10_000} for row in ticks(day)]
        tick_rows += made
        bar_rows += bars(made)
        frames += [
            {"date": day, "recv_ts": OPEN, "feed": "sim", "payload": b"frame", "src_partition": 0}
            | {"src_offset": number * 10 + n, "src_row": 0}
            for n in range(10)
        ]
    append(lake, TICKS_V1, "ticks", tick_rows)
    append(lake, BARS_V1, "bars", bar_rows)
    append(lake, FRAMES_V1, "ticks.raw", frames)
    return lake


def status(lake: Lake, *, drained: bool = True) -> dict[str, Any]:
    """Return the status page that a platform would show which wrote this lake."""

    def ends(table: Table) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for each in lake.offset_ranges(table):
            found[str(each.source.partition)] = {"begin": 0, "end": each.source.last + 1}
        return found

    rows = lake.rows(TICKS_V1)
    newest = max(lake.dates(TICKS_V1))
    last = datetime.combine(newest, time(14, 30), UTC) + timedelta(minutes=MINUTES, seconds=-1)
    clock_ns = int(last.timestamp()) * 10**9
    counters = {"ticks_in": rows + 5, "ticks_out": rows, "rejected": 2, "duplicates": 3, "bad_frames": 1}
    return {
        "version": 1,
        "state": "stopped" if drained else "ready",
        "feed": {"name": "sim", "venue": "SIM", "drained": drained, "clock_ns": clock_ns, "frames": 10, "ticks": rows},
        "topics": {"ticks": ends(TICKS_V1), "bars": ends(BARS_V1), "ticks.raw": ends(FRAMES_V1)},
        "groups": {"sink-ticks": {"topic": "ticks", "committed": {"0": 5}, "lag": 0 if drained else 7}},
        "flows": {
            "normalize": {"0": counters | {"bars": lake.rows(BARS_V1), "revisions": 0}},
            "sink-ticks": {"0": {"rows": rows, "pending_rows": 0}},
        },
        "ticks_per_s": 2000.0,
        "last_tick_ts_ns": clock_ns,
    }
