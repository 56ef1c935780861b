"""What a run left behind, read by other means than the platform's own: counts, dead letters, bars by DuckDB."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from streaming.adapters.lake import Lake
from streaming.transport.connect import connect
from trading.codec import decode
from trading.messages import DeadLetter
from trading.schemas import BARS_V1, DEADLETTER, FRAMES_V1, TICKS_V1

# Eastern daylight time; the files are of October.
NEW_YORK_US = 4 * 3_600_000_000


def cut(source: Path, target: Path, first: int, rows: int) -> Path:
    """Write some rows of a Parquet file as another one and return it."""
    table = pq.read_table(source).slice(first, rows)
    pq.write_table(table, target, row_group_size=20_000)
    return target


def final_status(home: Path) -> dict[str, Any]:
    """Return the status page that the last process wrote."""
    page: dict[str, Any] = json.loads((home / "status" / "streaming.json").read_text())
    return page


def lake(home: Path) -> Lake:
    """Return the lake of a run."""
    return Lake(home / "lake")


def reconcile(home: Path) -> dict[str, int]:
    """Check that every count agrees with every other one; return the totals of the normaliser."""
    page = final_status(home)
    totals: dict[str, int] = page["flows"]["normalize"]["0"]
    assert totals["ticks_in"] == totals["ticks_out"] + totals["rejected"] + totals["duplicates"]
    assert all(group["lag"] == 0 for group in page["groups"].values()), page["groups"]
    tables = lake(home)
    assert tables.rows(TICKS_V1) == totals["ticks_out"]
    assert tables.rows(FRAMES_V1) == page["topics"]["ticks.raw"]["0"]["end"]
    assert tables.rows(BARS_V1) == totals["bars"] + totals["revisions"]
    for table in (TICKS_V1, BARS_V1, FRAMES_V1):
        assert tables.range_faults(table) == []
        assert sum(found.source.rows for found in tables.offset_ranges(table)) == tables.rows(table)
    return totals


def duplicate_rows(home: Path) -> int:
    """Return how many rows of the lake's ticks and bars are there more than once."""
    connection = duckdb.connect()
    tables = lake(home)
    count = 0
    for table in (TICKS_V1, BARS_V1):
        rows = tables.read(table, list(table.key))  # noqa: F841 - DuckDB finds it by its name
        keys = ", ".join(table.key)
        count += connection.sql(f"select count(*) - count(distinct ({keys})) from rows").fetchall()[0][0]
    return count


def ticks(home: Path) -> list[tuple[Any, ...]]:
    """Return every tick of the lake, ordered, without where it came from."""
    columns = [name for name, _ in TICKS_V1.columns if not name.startswith("src_")]
    rows = lake(home).read(TICKS_V1, columns)  # noqa: F841 - DuckDB finds it by its name
    return duckdb.connect().sql(f"select {', '.join(columns)} from rows order by all").fetchall()


def bars(home: Path, interval: str) -> list[tuple[Any, ...]]:
    """Return the newest revision of every bar: instrument, start (us, date for 1d), prices, volume, trades."""
    rows = lake(home).read(BARS_V1)  # noqa: F841 - DuckDB finds it by its name
    start = "date" if interval == "1d" else "epoch_us(ts)"
    return (
        duckdb.connect()
        .sql(
            f"""select instrument, {start} as start, open, high, low, close, volume, trades from rows
                where interval = '{interval}'
                qualify row_number() over (partition by instrument, ts order by revision desc) = 1
                order by all"""
        )
        .fetchall()
    )


def bars_of_file(file: Path, interval: str) -> list[tuple[Any, ...]]:
    """Return the same as `bars`, computed by DuckDB from the trades themselves."""
    start = {
        "1m": "epoch_us(ts) // 60000000 * 60000000",
        "1h": "epoch_us(ts) // 3600000000 * 3600000000",
        "1d": f"date '1970-01-01' + cast((epoch_us(ts) - {NEW_YORK_US}) // 86400000000 as integer)",
    }[interval]
    return (
        duckdb.connect()
        .sql(
            f"""select symbol || '.US', {start} as start,
                arg_min(round(price, 4), (ts, trade_id)), max(round(price, 4)), min(round(price, 4)),
                arg_max(round(price, 4), (ts, trade_id)), sum(qty), count(*)
                from read_parquet('{file}') group by 1, 2 order by all"""
        )
        .fetchall()
    )


def letters(url: str) -> list[DeadLetter]:
    """Return every dead letter of a broker that no process has open."""
    return asyncio.run(read_letters(url))


async def read_letters(url: str) -> list[DeadLetter]:
    """Return the same as `letters`, inside an event loop."""
    client = connect(url)
    await client.start()
    try:
        end = await client.end_offset(DEADLETTER.name, 0)
        return [decode(r.value or b"", DeadLetter) async for r in client.read(DEADLETTER.name, 0, 0, end)]
    finally:
        await client.stop()


def codes(found: Sequence[DeadLetter]) -> Counter[str]:
    """Return how often each code was given."""
    return Counter(reject.code for letter in found for reject in letter.rejects)
